"""A Log that remembers, and refuses what the tables do not declare."""

from __future__ import annotations

from supervisor_d.log import ALL_EVENTS


class Remembered:
    """Every event that was logged, as (name, fields)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def __call__(self, event: str, /, **fields: object) -> None:
        undeclared = set(fields) - set(ALL_EVENTS[event].keys)
        assert not undeclared, f"{event} does not declare {undeclared}"
        self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events if name == event]
