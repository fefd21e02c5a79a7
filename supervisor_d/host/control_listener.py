"""The control socket's listener: made without stealing a live one, replaced atomically where dead, removed if ours.

Rejected: unlink and bind, since between the two another daemon may bind and then lose its socket to the unlink. So all
of it happens under the directory's lock (directory_lock.py).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from pathlib import Path
from typing import Final

from server_core.records import dataclass
from supervisor_d.control.place import PATH_LIMIT, is_abstract, socket_address
from supervisor_d.errors import ControlSocketError
from supervisor_d.host.directory_lock import locked

MODE: Final = 0o660
DIRECTORY_MODE: Final = 0o755
"""Of a directory made for the socket; the socket's own mode says who may connect."""

FORERUNNER: Final = ".new.sock"
"""What a socket is called in its directory before it is renamed; one name is enough, since the lock lets one in."""

BACKLOG: Final = 128
"""Chosen: twice the connections that are served at once, so that a crowd waits rather than fails."""

PEER: Final = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)."""

CANNOT_BE_MADE: Final = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.ENAMETOOLONG)
)
"""What says that a usual place is none on this system, and the next one is to be tried."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a Unix connection, as the kernel says; None where the system cannot tell."""

    pid: int | None
    uid: int | None


@dataclass(slots=True)
class ControlListener:
    """A listening control socket, and the file it is behind (0, 0 for an abstract one)."""

    socket: socket.socket
    address: str
    device: int = 0
    inode: int = 0

    def close(self) -> None:
        """Close it, and remove its file unless somebody else's has taken its place."""
        self.socket.close()
        if is_abstract(self.address):
            return
        try:
            with locked(Path(self.address).parent):
                there = os.lstat(self.address)
                if (there.st_dev, there.st_ino) == (self.device, self.inode):
                    os.unlink(self.address)
        except OSError:
            return  # gone already, or its directory is: there is nothing left that we could remove


def open_control_listener(places: tuple[str, ...]) -> ControlListener:
    """A listener at the first place that can be made; places[0] alone is one that the operator chose.

    Raises ControlSocketError if a place is taken by a living daemon, or if none can be made.
    """
    reasons: list[str] = []
    for address in places:
        try:
            return bind_abstract(address) if is_abstract(address) else bind_path(address)
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
            if error.errno not in CANNOT_BE_MADE:
                break
    raise ControlSocketError(f"control-socket: cannot be made ({'; '.join(reasons)}); give a PATH, @NAME or off")


def bind_abstract(address: str) -> ControlListener:
    """The kernel forgets an abstract name with its last socket, so a taken one is always somebody living's."""
    listener = unix_socket()
    try:
        listener.bind(socket_address(address))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise taken(address, owner_of(address)) from None
        raise
    return ControlListener(listener, address)


def bind_path(address: str) -> ControlListener:
    """Bound under a name of our own first, so that the file is seen only once it listens and has its mode."""
    path = Path(address)
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, f"a socket's path may have {PATH_LIMIT} bytes, this one has more")
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE)  # one level: a mistyped path makes no tree
    except FileExistsError:
        pass  # as usual; if it is no directory, opening it says so
    with locked(path.parent):
        refuse_to_steal(path)
        forerunner = path.parent / FORERUNNER
        if forerunner.is_socket():
            forerunner.unlink()  # of a daemon that was killed just here; nobody living uses it while we hold the lock
        listener = unix_socket()
        try:
            listener.bind(str(forerunner))
            os.chmod(forerunner, MODE)
            listener.listen(BACKLOG)
            there = os.lstat(forerunner)
            os.rename(forerunner, path)
        except OSError:
            listener.close()
            forerunner.unlink(missing_ok=True)
            raise
    return ControlListener(listener, address, there.st_dev, there.st_ino)


def refuse_to_steal(path: Path) -> None:
    """ControlSocketError unless there is nothing at the path but, perhaps, a dead socket."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlSocketError(f"control-socket: {path} is there and is not a socket; it is left alone")
    owner = owner_of(str(path))
    if owner is not None:
        raise taken(str(path), owner)


def taken(address: str, owner: Peer | None) -> ControlSocketError:
    who = f"pid {owner.pid}" if owner is not None and owner.pid else "another process"
    return ControlSocketError(
        f"control-socket: {address} is in use by {who}; stop it, or choose another --name or --control-socket"
    )


def owner_of(address: str) -> Peer | None:
    """Who listens at the address, or None if nobody does."""
    with unix_socket() as probe:
        try:
            probe.connect(socket_address(address))
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except OSError:  # EAGAIN: its backlog is full; EPROTOTYPE: another kind of socket; EACCES: not ours to know
            return Peer(None, None)
        return peer_of(probe)


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end; over TCP nobody knows.

    Linux: SO_PEERCRED (unix(7)); macOS: LOCAL_PEERCRED and LOCAL_PEERPID (unix(4)).
    """
    if connection.family != socket.AF_UNIX:
        return Peer(None, None)
    if sys.platform == "darwin":
        _, uid = struct.unpack("2I", connection.getsockopt(0, 0x001, 76)[:8])  # struct xucred: version, uid, groups
        (pid,) = struct.unpack("i", connection.getsockopt(0, 0x002, 4))
        return Peer(pid, uid)
    pid, uid, _ = PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return Peer(pid or None, uid)  # pid 0: the peer lives in a pid namespace that we cannot see into


def unix_socket() -> socket.socket:
    """A non-blocking stream socket; Python's are closed on exec."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    return made
