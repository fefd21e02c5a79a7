"""A peer's options as values of our settings, each with where it came from; how that is started. Pure but for start().

Theory.  A translation is a layer of settings like the command line of `run`: `resolve` reads its values with the same
parsers, so that a wrong one is refused with the peer's own name for it. It lies above the variables (SUPERVISOR_D_*)
and above a --config file, which still say what the peer has no option for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from server_core.records import dataclass
from supervisor_d.compat.options.table import Fate, PeerOption
from supervisor_d.launch import PROGRAM, launch
from supervisor_d.settings.sources.provenance import Given, Origin, Source


@dataclass(frozen=True, slots=True)
class Translation:
    """What one command line of a peer means here.

    `given` are values by our setting's name, as resolve() takes them; `notes` are sentences for the operator, told once
    at the start: what was accepted without effect, and what differs although it was accepted.
    """

    peer: str
    given: Mapping[str, Given]
    notes: Sequence[str]


class Translator:
    """Collects a translation. `where` says where an option's value came from: `--workers`, `env UVICORN_WORKERS`."""

    def __init__(self, peer: str, options: Mapping[str, PeerOption], where: Callable[[str], str]) -> None:
        self._peer: Final = peer
        self._options: Final = options
        self._where: Final = where
        self._given: dict[str, Given] = {}
        self._notes: list[str] = []

    def give(self, setting: str, value: object, option: str) -> None:
        """Set one of ours, by the name of the peer's option that asks for it."""
        self._given[setting] = Given(value, Source(Origin.PEER, f"{self._peer} {self._where(option)}"))

    def ignore(self, option: str) -> None:
        """Say that an option that was given has no effect here, and why."""
        assert self._options[option].fate is Fate.IGNORED, option
        self.note(option, f"has no effect: {self._options[option].difference}")

    def note(self, option: str, sentence: str) -> None:
        self._notes.append(f"{self._peer} {self._where(option)} {sentence}")

    def refusal(self, option: str, what: str = "") -> str:
        """The problem with an option that cannot be taken, for a ConfigurationError."""
        return f"{self._peer} {self._where(option)}: {what or self._options[option].difference}"

    def done(self) -> Translation:
        return Translation(self._peer, self._given, tuple(self._notes))


def start(translation: Translation, afterwards: Callable[[], None]) -> int:
    """Tell the notes on standard error, run the daemon until it ends, and return its exit code."""
    for note in translation.notes:
        print(f"{PROGRAM}: {note}", file=sys.stderr)
    return launch(translation.given, Origin.PEER, afterwards)
