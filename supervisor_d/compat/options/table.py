"""What becomes of an option of another server: the one record from which parsing, hints and MIGRATING.md follow."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final

from server_core.records import dataclass


class Fate(enum.Enum):
    """What happens to a peer's option; the value is the word that pages and messages show."""

    SAME = "same"
    """The same name and meaning here."""
    MAPPED = "mapped"
    """Another name, another unit, or several settings of ours that together do the same."""
    IGNORED = "ignored"
    """Accepted without effect; `difference` says why, and a start prints it once."""
    REFUSED = "refused"
    """Not accepted; `difference` says what to do instead."""


@dataclass(frozen=True, slots=True)
class PeerOption:
    """One option of a peer, by its peer's own name.

    `name` is the peer's parameter (gunicorn: the setting, others: the parameter of the command), `flags` are its
    spellings on the command line with their hyphens, `ours` are long names of our settings (`graceful-timeout`), and
    `difference` is one plain sentence, empty only where nothing differs.
    """

    name: str
    flags: tuple[str, ...]
    fate: Fate
    ours: tuple[str, ...] = ()
    difference: str = ""


def by_name(options: Iterable[PeerOption]) -> Mapping[str, PeerOption]:
    """The options of one peer by their names; ValueError if a name or a flag stands twice or a reason is missing."""
    table: dict[str, PeerOption] = {}
    flags: set[str] = set()
    for option in options:
        if option.name in table or not flags.isdisjoint(option.flags):
            raise ValueError(f"{option.name} or one of its flags {option.flags} stands twice")
        if option.fate in {Fate.IGNORED, Fate.REFUSED} and not option.difference:
            raise ValueError(f"{option.name} is {option.fate.value} without a reason")
        table[option.name] = option
        flags.update(option.flags)
    return table


def counted(table: Mapping[str, PeerOption]) -> Mapping[Fate, int]:
    """How many options of a peer have each fate, in the order of `Fate`."""
    return {fate: sum(option.fate is fate for option in table.values()) for fate in Fate}


PEERS: Final = ("gunicorn", "uvicorn", "hypercorn", "granian")
"""The peers whose command lines are taken, in the order in which pages show them."""
