"""What a row of the table of commands is, and what becomes of a request that fits one; pure."""

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
class Command:
    """One row. Exactly one of `read` and `act` is set; `answer` says in a few words what comes back.

    `read` gets what the query says, too. A row that `is_open` is answered at admin-bind, where nobody knows who asks.
    """

    method: str
    path: str
    ctl: str
    summary: str
    answer: str
    body: Mapping[str, Field] = field(default_factory=dict)
    query: Mapping[str, Field] = field(default_factory=dict)
    read: Callable[[Snapshot, Values], Reply] | None = None
    act: Callable[[Asked], Fact] | None = None
    is_open: bool = False


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
