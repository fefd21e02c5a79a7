"""What only some commands show is not made for the others."""

from __future__ import annotations

from dataclasses import replace

from supervisor_d.control.commands import COMMANDS
from supervisor_d.control.lazy_mapping import LazyMapping
from supervisor_d.vocabulary import Slot
from tests.helpers.views import a_view


def test_it_is_made_once_when_it_is_first_read() -> None:
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"a": 1, "b": 2}

    mapping = LazyMapping(make)
    assert made == []
    assert (mapping["a"], mapping.get("c"), list(mapping), len(mapping)) == (1, None, ["a", "b"], 2)
    assert made == [1]


def test_probes_read_no_workers_memory() -> None:
    asked: list[str] = []
    for command in COMMANDS:
        if command.read is not None:
            called = command.path

            def make(called: str = called) -> dict[Slot, int]:
                asked.append(called)
                return {}

            command.read(replace(a_view(), rss_bytes=LazyMapping(make)), {})
    assert set(asked) == {"/v1/status", "/v1/workers", "/v1/capacity", "/metrics"}
