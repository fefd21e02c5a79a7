"""Who is at the other end of a Unix connection, as the kernel says, and whose word `ctl` takes. Effects: asks only.

A name says nothing about its owner: every user may bind an abstract name, and every user that may write a directory may
put a socket there. The kernel does: the credentials are those of the process at the moment that it called listen(2), so
a daemon that root started is root's, whatever it has become since.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import Final

from server_core.records import dataclass

CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a Unix connection, as the kernel says; None where the system cannot tell."""

    pid: int | None
    uid: int | None

    def __str__(self) -> str:
        """`pid 12 of user eve (uid 1001)`."""
        process = f"pid {self.pid}" if self.pid else "a process"
        return f"{process} of {user_called(self.uid)}" if self.uid is not None else f"{process} of an unknown user"


def peer_of(connection: socket.socket) -> Peer:
    """The process at the other end; over TCP it is unknown.

    Linux: SO_PEERCRED (unix(7)); macOS: LOCAL_PEERCRED and LOCAL_PEERPID (unix(4)).
    """
    if connection.family != socket.AF_UNIX:
        return Peer(None, None)
    if sys.platform == "darwin":
        _, uid = struct.unpack("2I", connection.getsockopt(0, 0x001, 76)[:8])  # struct xucred: version, uid, groups
        (pid,) = struct.unpack("i", connection.getsockopt(0, 0x002, 4))
        return Peer(pid, uid)
    pid, uid, _ = CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return Peer(pid or None, uid & 0xFFFFFFFF)  # pid 0: the peer lives in a pid namespace that we cannot see into


def user_called(uid: int) -> str:
    """`user eve (uid 1001)`, or `uid 1001` where the user database has no such user."""
    import pwd  # here, because a master needs it only when something is wrong

    try:
        return f"user {pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


@dataclass(frozen=True, slots=True)
class Trust:
    """The users whose daemons `ctl` believes."""

    uids: frozenset[int]

    def believes(self, peer: Peer) -> bool:
        return peer.uid in self.uids

    def __str__(self) -> str:
        return " or ".join(user_called(uid) for uid in sorted(self.uids))


def usual_trust() -> Trust:
    """Root, who could be us anyway, and our own user."""
    return Trust(frozenset((0, os.geteuid())))


def trust_in(user: str) -> Trust:
    """The user with this name or number besides the usual ones; ValueError if there is no such user."""
    import pwd  # as above

    if user.isascii() and user.isdigit() and len(user) <= 10:
        return Trust(usual_trust().uids | {int(user)})
    try:
        return Trust(usual_trust().uids | {pwd.getpwnam(user).pw_uid})
    except (KeyError, ValueError):  # ValueError: a NUL in it
        raise ValueError(f"there is no user called {user!r}") from None
