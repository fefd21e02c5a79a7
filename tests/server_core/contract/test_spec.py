"""A worker spec comes out of the pipe as it went in; one that differs from the declaration is refused."""

from __future__ import annotations

import pytest

from server_core.contract.messages import decode
from server_core.contract.spec import ListenerSpec, Template, WorkerSpec
from server_core.settings.declaration import ServerSettings

SPEC = WorkerSpec(
    slot=3,
    generation=2,
    name="shop",
    listeners=(ListenerSpec(5, "127.0.0.1:8000"), ListenerSpec(6, "unix:/run/shop.sock")),
    record_fd=7,
    loads_fd=8,
    beat_s=0.5,
    watch_s=7.5,
    settings=ServerSettings(app="main:app", keep_alive=1.5, health_path="/ü"),
    template=Template.SERVER,
    tls_fds=(9, 10),
)


def test_a_spec_crosses_the_pipe_unchanged() -> None:
    message = decode(SPEC.as_message())
    assert message.verb == "spec"
    assert WorkerSpec.from_fields(message.fields) == SPEC


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"listeners": [], "settings": {}},
        {"listeners": {}, "settings": {}},
        {"listeners": [{"fd": 1}], "settings": {}},
        {"listeners": [], "settings": {"unknown": 1}},
        {**decode(SPEC.as_message()).fields, "tempo": 1},
        {**decode(SPEC.as_message()).fields, "template": "of doom"},
        {**decode(SPEC.as_message()).fields, "tls_fds": 9},
    ],
)
def test_a_spec_that_differs_from_what_is_declared_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        WorkerSpec.from_fields(fields)
