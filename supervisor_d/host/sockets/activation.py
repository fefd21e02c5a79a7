"""Sockets that systemd, or who speaks its protocol, has opened for this very process (sd_listen_fds(3)). Host side.

Without names in bind, all of them are served. Names in bind (fd://NAME) choose: each takes the sockets of its name, and
none may be left over, since a socket that no worker serves accepts connections that get no answer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from server_core.records import dataclass
from supervisor_d.errors import ListenerError
from supervisor_d.settings.values.address import Address, InheritedAddress, NamedAddress

FIRST: Final = 3
"""SD_LISTEN_FDS_START."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One socket: its descriptor, and its name (FileDescriptorName= in the .socket unit), empty if it has none."""

    fd: int
    name: str

    def __str__(self) -> str:
        return f"{self.name or 'nameless'} (fd {self.fd})"


def passed_sockets(environ: Mapping[str, str]) -> tuple[Passed, ...]:
    """What was passed, in order; nothing if it was meant for another process, a parent usually."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return ()
    count = environ.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit()):
        raise ListenerError(f"LISTEN_FDS: must be a whole number, not {count!r} (environment)")
    names = [*environ.get("LISTEN_FDNAMES", "").split(":"), *[""] * int(count)]
    return tuple(Passed(FIRST + number, names[number]) for number in range(int(count)))


def chosen(passed: Sequence[Passed], addresses: Sequence[Address], source: str) -> list[Passed]:
    """The sockets to serve; ListenerError for a name that was not passed, and for a socket that no bind names."""
    names = [address.name for address in addresses if isinstance(address, NamedAddress)]
    if not names:
        return list(passed)
    told = ", ".join(map(str, passed)) or "none (LISTEN_FDS is not set for this process)"
    for name in names:
        if all(each.name != name for each in passed):
            raise ListenerError(
                f"fd://{name}: no socket of this name was passed; there is {told} (bind, from {source})"
            )
    numbers = {address.fd for address in addresses if isinstance(address, InheritedAddress)}
    left = [each for each in passed if each.name not in names and each.fd not in numbers]
    if left:
        raise ListenerError(
            f"LISTEN_FDS: {', '.join(map(str, left))} is named by no bind, and would never be answered; "
            f"add --bind fd://NAME or take it out of the .socket unit (bind, from {source})"
        )
    return [each for name in names for each in passed if each.name == name]
