"""The Status as lines for a service manager, and what is new since the last ones; pure.

The words are sd_notify(3)'s. READY=1 means that enough workers are ready: all that are wanted, or some, once it is
known that the others cannot be had (they wait in back-off). Once said it is not taken back, since the protocol cannot
say it; that no worker is ready any more shows in STATUS=, and the watchdog is not fed.

MAINPID= is never sent: our pid never changes, and in a container it is not the number that the manager knows.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from server_core.records import dataclass
from supervisor_d.vocabulary import Instant
from supervisor_d.vocabulary.status import DaemonState, Status

TEXT_MAX: Final = 200
"""Characters of STATUS=; chosen: what `systemctl status` shows without wrapping much."""


class Phase(enum.Enum):
    STARTING = "starting"
    READY = "ready"
    RELOADING = "reloading"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Notice:
    """What the manager is to know: `is_alive` says that a worker serves, and so that the watchdog may be fed."""

    phase: Phase
    text: str
    is_alive: bool

    @property
    def takes_time(self) -> bool:
        """True in the phases that a manager limits with a timeout, which we keep extending: ours end by themselves."""
        return self.phase is not Phase.READY


UNTOLD: Final = Notice(Phase.STARTING, "", is_alive=False)
"""What the manager knows of a process that has said nothing."""


def notice_of(status: Status, before: Notice) -> Notice:
    """The notice for this status; `before` is the last one."""
    return Notice(phase_of(status, before.phase), text_of(status), is_alive=status.ready > 0)


def phase_of(status: Status, before: Phase) -> Phase:
    if status.state is DaemonState.DRAINING:
        return Phase.STOPPING
    if before is Phase.STARTING:
        settled = status.state in (DaemonState.SERVING, DaemonState.DEGRADED)
        return Phase.READY if settled and status.ready > 0 else Phase.STARTING
    return Phase.RELOADING if status.state is DaemonState.RELOADING else Phase.READY


def text_of(status: Status) -> str:
    """One line for a person."""
    workers = f"{status.ready} of {status.target} workers ready"
    match status.state:
        case DaemonState.DRAINING:
            return f"stopping: {sum(slot.pid is not None for slot in status.slots)} workers have not ended yet"
        case DaemonState.RELOADING if status.reload is not None:
            reload = status.reload
            replaced = f"{reload.replaced} of {reload.target} replaced by generation {reload.generation}"
            return f"reloading: {reload.phase}, {replaced}; {workers}"
        case _:
            told = [f"{status.state.value}: {workers}, generation {status.generation}"]
            if status.reason:
                told.append(status.reason)
            last = status.last_reload
            if last is not None and last.outcome != "committed":
                told.append(f"generation {last.generation} was {last.outcome.replace('_', ' ')}: {last.reason}")
            return one_line("; ".join(told))


def one_line(text: str) -> str:
    """The text without what could end the line: a second one would be another message to the manager."""
    plain = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return plain if len(plain) <= TEXT_MAX else f"{plain[: TEXT_MAX - 3]}..."


def difference(before: Notice, after: Notice, now: Instant) -> list[str]:
    """The lines that tell what is new, in one datagram; none if nothing is."""
    lines = []
    if after.phase is not before.phase:
        lines.append(announcement(after.phase, now))
    if after.text != before.text:
        lines.append(f"STATUS={after.text}")
    return lines


def announcement(phase: Phase, now: Instant) -> str:
    match phase:
        case Phase.READY:
            return "READY=1"
        case Phase.RELOADING:
            return f"RELOADING=1\nMONOTONIC_USEC={int(now * 1e6)}"
        case Phase.STOPPING:
            return "STOPPING=1"
        case Phase.STARTING:
            raise ValueError("nothing goes back to starting")


def newest(lines: Sequence[str]) -> list[str]:
    """Of lines that could not be sent yet, the last of each kind, in order: an older STATUS= holds no more.

    READY, RELOADING and STOPPING are one kind: a manager looks for each by itself, whatever their order in a datagram.
    """
    last = {kind_of(line): number for number, line in enumerate(lines)}
    return [line for number, line in enumerate(lines) if last[kind_of(line)] == number]


def kind_of(line: str) -> str:
    name = line.partition("=")[0]
    return "phase" if name in ("READY", "RELOADING", "STOPPING") else name
