"""The parts of an object of the control API, as text that cannot steer a terminal; what is missing is empty. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from supervisor_d.control.display.terminal import printable

Object = Mapping[str, object]


def indented(block: object) -> list[str]:
    return [f"    {printable(line)}" for line in str(block or "").splitlines()]


def fact(value: object) -> str:
    """A value behind its key; quoted where it would fall apart."""
    shown = value if isinstance(value, str) else str(value)
    return repr(shown) if not shown or any(not c.isprintable() or c.isspace() for c in shown) else shown


def text(told: Object, key: str) -> str:
    value = told.get(key)
    return "" if value is None else printable(str(value))


def child(told: Object, key: str) -> Object:
    value = told.get(key)
    return value if isinstance(value, Mapping) else {}


def children(told: Object, key: str) -> list[Object]:
    value = told.get(key)
    return list(objects(value)) if isinstance(value, list) else []


def objects(values: Iterable[object]) -> Iterator[Object]:
    return (value for value in values if isinstance(value, Mapping))
