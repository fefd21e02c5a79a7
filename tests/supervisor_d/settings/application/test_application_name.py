"""A daemon's name when nobody gives one."""

from __future__ import annotations

import pytest

from supervisor_d.settings.application.application_name import name_of
from supervisor_d.settings.values.value_types import parse_name


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("main:app", "main"),
        ("shop.main:create()", "shop.main"),
        ("läden:app", "l-den"),
        ("_x:app", "_x"),
        ("", "supervisor-d"),
        ("é:app", "supervisor-d"),
        ("m" * 200 + ":app", "m" * 64),
    ],
)
def test_a_daemon_is_named_after_its_applications_module(app: str, name: str) -> None:
    assert name_of(app) == name
    assert parse_name(name) == name
