"""The listeners: bound or inherited at start, kept open for life, given up at the end. Host side.

With systemd socket activation nothing is bound: a unit with a .socket means exactly those sockets, and a bind setting
left in the configuration must not open a second door. A bind of fd://N still holds beside it, since it binds nothing,
and fd://NAME chooses among the sockets that were passed (activation.py).

Every listener is non-blocking and close-on-exec here, and has a number above 2: descriptor 0 as a listener is
supervisord's fcgi-program, and workers get /dev/null there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from server_core.contract import ListenerSpec
from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d.errors import ListenerError
from supervisor_d.host import newcomers, standard_streams, unix_path
from supervisor_d.host.activation import chosen, passed_sockets
from supervisor_d.log import Log
from supervisor_d.settings.address import Address, InheritedAddress, NamedAddress, TcpAddress, UnixAddress

BUSY_FOR_S: Final = 1.0
"""How long a busy address is tried: workers of a master that was killed close their listeners as soon as they notice,
which takes a turn of their event loop. Chosen: no evidence for more."""
BUSY_RETRY_MS: Final = 20

STREAM_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


@dataclass(frozen=True, slots=True)
class Binding:
    """What the operator wants: the addresses, and for messages where that was said ("flag --bind").

    Passed sockets of the names in `elsewhere` are not for requests, and are opened by somebody else.
    """

    addresses: Sequence[Address]
    source: str
    backlog: int
    unix_mode: int
    is_default: bool = False
    group: int | None = None
    """Of Unix sockets' files; None: our own."""
    elsewhere: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Listener:
    """One open listener; `place` is the socket file that we made for it, if we did.

    One that is inherited outlives us: whoever waits in its queue is served by who comes after.
    """

    socket: socket.socket
    address: str
    source: str
    place: unix_path.Place | None = None
    inherited: bool = False

    def close(self) -> None:
        """Close our copy, and unlink the socket file if it is ours."""
        if self.place is not None:
            self.place.give_up()
        self.socket.close()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What other users of the machine may do to its socket file."""
        return self.place.doubts if self.place is not None else ()

    @property
    def is_waited_at(self) -> bool:
        """Whether somebody is in the queue."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return any(events & select.POLLIN for _, events in poll.poll(0))

    @property
    def spec(self) -> ListenerSpec:
        return ListenerSpec(self.socket.fileno(), self.address)


class Listeners:
    """All listeners of this daemon."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._open: list[Listener] = []

    @property
    def specs(self) -> tuple[ListenerSpec, ...]:
        """What a worker inherits; nothing once they are closed."""
        return tuple(listener.spec for listener in self._open)

    def open(self, binding: Binding, environ: Mapping[str, str]) -> None:
        """Open everything or raise ListenerError, leaving nothing open."""
        try:
            passed = [each for each in passed_sockets(environ) if each.name not in binding.elsewhere]
            for each in chosen(passed, binding.addresses, binding.source):
                self._add(inherit(each.fd, f"fd://{each.fd}", f"LISTEN_FDS {each.name}".rstrip()), "socket.inherited")
            self._open_bindings(binding, activated=bool(self._open))
        except BaseException:  # cleans up and raises it again, whatever it is
            self.close()
            raise

    def turn_newcomers_away(self) -> None:
        """Let nobody else into the queues of our own listeners: they are emptied next, then closed. Idempotent."""
        for listener in self._open:
            if not listener.inherited:
                newcomers.turn_away(listener.socket)

    def close(self) -> None:
        """Close our copies and unlink our own socket files; what workers have stays open."""
        for listener in self._open:
            listener.close()
        self._open.clear()

    def end(self, *, spare_waiting: bool = False) -> tuple[str, ...]:
        """Close our own listeners in all processes, and our copies of the others; the addresses that were closed.

        A process that an application forked may have a copy. `spare_waiting`: some worker may still take who waits
        (orders.CloseListeners).
        """
        closed = []
        for listener in self._open[:]:
            if not listener.inherited:
                if spare_waiting and listener.socket.family != socket.AF_UNIX and listener.is_waited_at:
                    continue
                newcomers.refuse(listener.socket)
            closed.append(listener.address)
            listener.close()
            self._open.remove(listener)
        return tuple(closed)

    def _open_bindings(self, binding: Binding, *, activated: bool) -> None:
        ours = {listener.socket.fileno() for listener in self._open}
        there = {listener.address for listener in self._open}
        unused = []
        for address in binding.addresses:
            if isinstance(address, NamedAddress):
                continue  # taken already
            if isinstance(address, InheritedAddress):
                if address.fd not in ours:
                    self._add(inherit(address.fd, str(address), f"bind, from {binding.source}"), "socket.inherited")
            elif activated:
                if str(address) not in there:
                    unused.append(str(address))
            else:
                for listener in bind_patiently(address, binding):
                    self._add(listener, "socket.bound")
        if unused and not binding.is_default:
            self._log("socket.unused", addresses=unused, reason="socket activation (LISTEN_FDS) says where to listen")

    def _add(self, listener: Listener, event: str) -> None:
        self._open.append(listener)
        more = {"source": listener.source} if event == "socket.inherited" else {}
        self._log(event, address=listener.address, fd=listener.socket.fileno(), **more)
        for doubt in listener.doubts:
            self._log("socket.exposed", address=listener.address, reason=doubt)


def inherit(fd: int, called: str, source: str) -> Listener:
    """The listener that somebody left open as this descriptor; ListenerError if it is none."""
    try:
        number = fd
        if fd <= 2:
            number = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        inherited = socket.socket(fileno=number)
    except OSError as error:
        what = "is not open" if error.errno == errno.EBADF else f"is not a socket: {error.strerror}"
        raise ListenerError(f"{called}: {what} ({source})") from None
    wrong = _what_is_wrong(inherited)
    if wrong is not None:
        if number == fd:
            inherited.detach()  # not ours to close
        else:
            inherited.close()
        raise ListenerError(f"{called}: {wrong} ({source})")
    if number != fd:
        standard_streams.take(fd)
    inherited.setblocking(False)
    inherited.set_inheritable(False)
    return Listener(inherited, _address_of(inherited), source, inherited=True)


def _what_is_wrong(inherited: socket.socket) -> str | None:
    if inherited.type != socket.SOCK_STREAM:
        return f"is not a stream socket ({socket.SocketKind(inherited.type).name})"
    if inherited.family not in STREAM_FAMILIES:
        return "is neither a TCP nor a Unix socket"
    if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "is a socket, but not a listening one"
    return None


def bind_patiently(address: TcpAddress | UnixAddress, binding: Binding) -> list[Listener]:
    """Bind, and for a moment keep trying an address that is still busy. Raises ListenerError."""
    give_up_at = clock.now() + BUSY_FOR_S
    while True:
        try:
            return _bind_tcp(address, binding) if isinstance(address, TcpAddress) else [_bind_unix(address, binding)]
        except OSError as error:
            if error.errno != errno.EADDRINUSE or clock.now() >= give_up_at:
                raise ListenerError(f"{address}: {_plainly(error)} (bind, from {binding.source})") from None
            select.poll().poll(BUSY_RETRY_MS)  # before the loop runs there is nothing else to attend to


def _plainly(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        by = str(error.strerror).partition(unix_path.IN_USE_BY)[2]
        return f"already in use by {by}" if by else "already in use"
    if error.errno == errno.EACCES:
        return "permission denied"
    return (error.strerror or str(error)).lower()


def _bind_tcp(address: TcpAddress, binding: Binding) -> list[Listener]:
    """One listener for every address that the host's name stands for; port 0 means the same free port for all."""
    name = address.host.encode("ascii")  # a text Python would encode as IDNA, which takes 0.5 MB and 3 ms to load
    found = socket.getaddrinfo(
        name, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | _only_configured(address.host)
    )
    bound: list[Listener] = []
    port = address.port
    try:
        for family, kind, protocol, _, (host, *_) in dict.fromkeys(found):
            try:
                opened = _listen_tcp(socket.socket(family, kind, protocol), (str(host), port), binding.backlog)
            except OSError as error:
                if bound and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue  # "localhost" names ::1 even where IPv6 is off
                raise
            bound.append(Listener(opened, _address_of(opened), binding.source))
            port = int(opened.getsockname()[1])
    except OSError:
        for listener in bound:
            listener.socket.close()
        raise
    return bound


def _only_configured(host: str) -> int:
    """AI_ADDRCONFIG for names only: it would refuse the literal 127.0.0.1 where only loopback is up (RFC 3493)."""
    return 0 if host.replace(".", "").isdigit() or ":" in host or host == "localhost" else socket.AI_ADDRCONFIG


def _listen_tcp(opened: socket.socket, address: tuple[str, int], backlog: int) -> socket.socket:
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT must not delay a restart
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(backlog)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _bind_unix(address: UnixAddress, binding: Binding) -> Listener:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = None
    try:
        if address.is_abstract:
            opened.bind("\0" + address.path[1:])
            opened.listen(binding.backlog)
        else:
            place = unix_path.bind(opened, address.path, binding.unix_mode, binding.backlog, group=binding.group)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return Listener(opened, str(address), binding.source, place)


def _address_of(opened: socket.socket) -> str:
    """What people call it: the address with the real port."""
    name = opened.getsockname()
    if opened.family == socket.AF_UNIX:
        text = os.fsdecode(name)
        return f"unix:@{text[1:]}" if text.startswith("\0") else f"unix:{text}"
    return str(TcpAddress(str(name[0]), int(name[1])))
