"""The control socket's listener: made without stealing a live one, replaced where dead, removed if ours.

One with a file is made as every Unix socket is (unix_path.py), but not where every user could replace it. An abstract
name has no owner and no mode. So it is the last resort and carries our uid, and where another user has taken it, an
ending is added that cannot be guessed: so no other user can prevent the start. `ctl` asks the kernel whose it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Final

from server_core.records import dataclass
from supervisor_d.control.peer import Peer, peer_of
from supervisor_d.control.socket_path import ENDING, PATH_LIMIT, is_abstract, socket_address
from supervisor_d.errors import ControlSocketError
from supervisor_d.host.unix_sockets import unix_path
from supervisor_d.host.unix_sockets.socket_holder import holder_of_name

MODE: Final = 0o660
DIRECTORY_MODE: Final = 0o755
"""Of a directory made for the socket; the socket's own mode says who may connect."""

INSTEAD: Final = "stop it, or choose another --name or --control-socket"

BACKLOG: Final = 128
"""Chosen: twice the connections that are served at once, so that a crowd waits rather than fails."""

CANNOT_BE_MADE: Final = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.ENAMETOOLONG)
)
"""What says that a usual place is none on this system, and the next one is to be tried."""


@dataclass(slots=True)
class ControlListener:
    """A listening control socket, and the file it is behind; None for an abstract one."""

    socket: socket.socket
    address: str
    place: unix_path.Place | None = None
    squatter: str = ""
    """Which address another user's process has taken from us, and who that is."""
    made: Path | None = None
    """The directory that was made for the file, and is removed with it."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """What other users of the machine may do to it."""
        return self.place.doubts if self.place is not None else ()

    def close(self) -> None:
        """Close it, and remove its file unless another process's has taken its place."""
        if self.place is not None:
            self.place.give_up()  # first: while it is alive no other daemon takes the place
        self.socket.close()
        _unmake(self.made)


def open_control_listener(places: tuple[str, ...]) -> ControlListener:
    """A listener at the first place that can be made; places[0] alone is one that the operator chose.

    Raises ControlSocketError if a place is taken by a living daemon, or if none can be made.
    """
    reasons: list[str] = []
    for address in places:
        try:
            if not is_abstract(address):
                return bind_path(address)
            return bind_abstract(address, is_usual=len(places) > 1)
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
            if error.errno not in CANNOT_BE_MADE:
                break
    raise ControlSocketError(f"control-socket: cannot be made ({'; '.join(reasons)}); give a PATH, @NAME or off")


def bind_abstract(address: str, *, is_usual: bool = False) -> ControlListener:
    """The kernel forgets an abstract name with its last socket, so a taken one always belongs to a living process.

    If it is another user's, a usual name is given an ending that cannot be known before, and `ctl` finds that as well.
    """
    listener = unix_socket()
    try:
        try:
            listener.bind(socket_address(address))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            owner = owner_of(address)
            if is_ours(owner) or not is_usual:
                raise taken(address, owner) from None
            return ControlListener(*bind_beside(listener, address), squatter=f"{address} is taken by {owner}")
        listener.listen(BACKLOG)
    except (OSError, ControlSocketError):
        listener.close()
        raise
    return ControlListener(listener, address)


def bind_beside(listener: socket.socket, address: str) -> tuple[socket.socket, str]:
    """The listener, at a name that begins like this one and cannot be guessed; and that name."""
    beside = f"{address}{ENDING}{os.urandom(8).hex()}"
    listener.bind(socket_address(beside))
    listener.listen(BACKLOG)
    return listener, beside


def bind_path(address: str) -> ControlListener:
    """A socket file that only its owner and its group can connect to."""
    path = Path(address)
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, f"a socket's path may have {PATH_LIMIT} bytes, this one has more")
    made = _make(path.parent)
    listener = unix_socket()
    try:
        try:
            place = unix_path.bind(listener, address, MODE, BACKLOG, is_guarded=True)
        except FileNotFoundError:  # a daemon that ends has just removed the directory that it had made
            made = _make(path.parent)
            place = unix_path.bind(listener, address, MODE, BACKLOG, is_guarded=True)
    except (OSError, ControlSocketError) as error:
        listener.close()
        _unmake(made)
        if not isinstance(error, OSError):
            raise
        if error.errno == errno.EEXIST:
            raise ControlSocketError(f"control-socket: {path}: {error.strerror}; it is left alone") from None
        if error.errno == errno.EADDRINUSE:
            raise ControlSocketError(f"control-socket: {path} is {error.strerror}; {INSTEAD}") from None
        raise
    return ControlListener(listener, address, place, made=made)


def rebind(listener: ControlListener) -> ControlListener:
    """Another at the place of one whose file is gone; that one is left open. Raises OSError or ControlSocketError."""
    made = bind_path(listener.address)
    made.made, listener.made = made.made or listener.made, None
    return made


def _make(directory: Path) -> Path | None:
    """Make it, one level, since a mistyped path is to make no tree; None if it is there already.

    Whether it is a directory is said when it is opened.
    """
    try:
        directory.mkdir(mode=DIRECTORY_MODE)
    except FileExistsError:
        return None
    return directory


def _unmake(directory: Path | None) -> None:
    """Remove what was made, unless something of others is in it, or it is gone or closed to us by now."""
    if directory is not None:
        with contextlib.suppress(OSError):
            directory.rmdir()


def taken(address: str, owner: Peer) -> ControlSocketError:
    if is_ours(owner):
        return ControlSocketError(f"control-socket: {address} is in use by {owner}; {INSTEAD}")
    return ControlSocketError(
        f"control-socket: {address} is squatted: {owner} has taken it, as every user may with an abstract name; end "
        "that process, or give a --control-socket PATH in a directory that no other user can write"
    )


def is_ours(owner: Peer) -> bool:
    return owner.uid == os.geteuid()


def owner_of(address: str) -> Peer:
    """Who has an abstract address, None for what cannot be seen: then it is not ours."""
    with unix_socket() as probe:
        try:
            probe.connect(socket_address(address))
        except OSError:  # ECONNREFUSED: it does not listen; EAGAIN: its backlog is full; EPROTOTYPE: another kind
            return holder_of_name(address)
        return peer_of(probe)


def unix_socket() -> socket.socket:
    """A non-blocking stream socket; Python's are closed on exec."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    return made
