"""Where a value came from, and a value as its source gave it, before any parser has seen it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from server_core.records import dataclass


class Origin(Enum):
    """The kinds of source, weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "env"
    FLAG = "flag"
    ARGUMENT = "argument"
    PEER = "from"
    """Another server's command line, translated: `from uvicorn --workers`."""


@dataclass(frozen=True, slots=True)
class Source:
    """One source as people call it: `flag --workers`, `env WEB_CONCURRENCY`, `file /etc/x.toml: workers`, `default`."""

    origin: Origin
    place: str = ""

    def __str__(self) -> str:
        return f"{self.origin.value} {self.place}".rstrip()


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was given: a text, or what TOML or Python had for it."""

    value: object
    source: Source


def near_misses(wrong: str, accepted: Iterable[str]) -> str:
    """`; did you mean X?` where there is something like it, else nothing."""
    from difflib import get_close_matches  # here, because a mistyped name is rare

    names = list(accepted)
    close = [wrong] if wrong in names else get_close_matches(wrong, names, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(close)}?" if close else ""
