"""A row of the table of commands, and a request that fits one, as it is sent and as it is understood; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Literal

from server_core.records import dataclass
from supervisor_d.control.messages import Refused, Reply
from supervisor_d.control.pages import Values
from supervisor_d.control.snapshot import Snapshot
from supervisor_d.vocabulary import Fact, Origin, Slot, Ticket


@dataclass(frozen=True, slots=True)
class Field:
    """One key that a request's body or query may hold."""

    kind: Literal["switch", "integer"]
    help: str
    flag: str = ""
    """Its option of `ctl`; nothing: `ctl` does not offer it."""
    flag_help: str = ""
    flag_gives: bool = True
    """What the option sends: `--no-wait` sends false."""
    needs_wait: bool = False
    """The command has no result but its outcome, so `ctl` refuses to send this without waiting."""

    def parse(self, name: str, value: object) -> int:
        """The value, checked; Refused says which key and what would be accepted."""
        if self.kind == "switch":
            if not isinstance(value, bool):
                raise Refused(400, f"{name}: must be true or false, not {value!r}")
        elif isinstance(value, bool) or not isinstance(value, int):
            raise Refused(400, f"{name}: must be a whole number, not {value!r}")
        return value


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed writing request: who asked, for which slot (0 where the path names none), and with what."""

    origin: Origin
    ticket: Ticket | None
    slot: Slot
    values: Values


@dataclass(frozen=True, slots=True)
class Argument:
    """What stands behind a command of `ctl`, and becomes keys of the body."""

    metavar: str
    parse: Callable[[str], Mapping[str, object]]
    """The keys; ValueError says what would be accepted."""


@dataclass(frozen=True, slots=True)
class Command:
    """One row. Exactly one of `read` and `act` is set; `answer` says in a few words what comes back.

    The route, the row of the page, and the command of `ctl` with its options are derived from it. `read` gets the
    values of the query, too. admin-bind, which does not know the user of a client, answers the rows that are `is_open`.
    """

    method: str
    path: str
    ctl: str
    """The command of `ctl`: a word, or one with a fixed argument (`explain workers`); nothing: there is none."""
    summary: str
    answer: str
    body: Mapping[str, Field] = field(default_factory=dict)
    query: Mapping[str, Field] = field(default_factory=dict)
    read: Callable[[Snapshot, Values], Reply] | None = None
    act: Callable[[Asked], Fact] | None = None
    is_open: bool = False
    argument: Argument | None = None
    streams: bool = False
    """A client that waits may have the progress as a stream; `ctl` shows it."""
    has_object: bool = True
    """The answer is an object that `ctl ... --json` shows as it is."""

    @property
    def word(self) -> str:
        """The first word of the command of `ctl`."""
        return self.ctl.partition(" ")[0]

    @property
    def names_slot(self) -> bool:
        return "{slot}" in self.path

    @property
    def fields(self) -> Mapping[str, Field]:
        return {**self.body, **self.query}

    @property
    def usage(self) -> str:
        """The command of `ctl` with its options and arguments."""
        options = (f"[{row.flag}]" for row in self.fields.values() if row.flag)
        slot = ("SLOT",) if self.names_slot else ()
        argument = (self.argument.metavar,) if self.argument is not None else ()
        return " ".join((self.ctl, *options, *slot, *argument))


@dataclass(frozen=True, slots=True)
class Sending:
    """One request of a command, as `ctl` sends it."""

    command: Command
    slot: int = 0
    body: Mapping[str, object] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.command.path.replace("{slot}", str(self.slot))

    @property
    def waits(self) -> bool:
        """True if the answer comes with the outcome."""
        return bool(self.body.get("wait", True))


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood."""

    command: Command
    slot: Slot
    values: Values
    wants_stream: bool

    @property
    def follows(self) -> bool:
        """True if the answer is a stream without an end."""
        return bool(self.values.get("follow", False))

    @property
    def waits(self) -> bool:
        """True if a writing command's answer is waited for."""
        return bool(self.values.get("wait", True))
