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
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from server_core.contract.spec import ListenerSpec
from supervisor_d.errors import ListenerError
from supervisor_d.host.sockets import accept_barrier
from supervisor_d.host.sockets.activation import chosen, passed_sockets
from supervisor_d.host.sockets.listener import Binding, Listener, address_of, bind_patiently, listen_again, listener_of
from supervisor_d.host.system import standard_streams
from supervisor_d.log import Log
from supervisor_d.settings.values.address import InheritedAddress, NamedAddress

SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")
"""Of the network namespace (network sysctls, Documentation/admin-guide/sysctl/net.rst)."""

STREAM_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class Listeners:
    """All listeners of this daemon; `closing` is called with each before it is shut down or closed."""

    def __init__(self, log: Log, closing: Callable[[Listener], None] = lambda _: None) -> None:
        self._log = log
        self._closing = closing
        self._binding: Binding | None = None
        self._open: list[Listener] = []
        self._refusing: list[Listener] = []
        """Unix sockets that are shut down already; some worker may yet take those that wait there."""

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._open))

    @property
    def specs(self) -> tuple[ListenerSpec, ...]:
        """What a worker inherits; nothing once they are closed, and none that waits for its name to be free."""
        return tuple(listener.spec for listener in self._open if listener.socket.fileno() >= 0)

    def open(self, binding: Binding, environ: Mapping[str, str]) -> None:
        """Open everything or raise ListenerError, leaving nothing open."""
        self._binding = binding
        try:
            passed = [each for each in passed_sockets(environ) if each.name not in binding.elsewhere]
            for each in chosen(passed, binding.addresses, binding.source):
                self._add(inherit(each.fd, f"fd://{each.fd}", f"LISTEN_FDS {each.name}".rstrip()), "socket.inherited")
            self._open_bindings(binding, activated=bool(self._open))
            cap = somaxconn()
            if cap is not None and cap < binding.backlog and not all(each.inherited for each in self._open):
                self._log("socket.backlog_capped", backlog=binding.backlog, somaxconn=cap)
        except BaseException:  # cleans up and raises it again, whatever it is
            self.close()
            raise

    def renew(self, listener: Listener) -> Listener:
        """Have a listener listen again, or another in its place, as listen_again does. Raises OSError."""
        if self._binding is None or listener not in self._open:
            raise OSError(errno.EBADF, "it is closed")
        renewed = listen_again(listener, self._binding)
        self._open[self._open.index(listener)] = renewed
        return renewed

    def close_accept_queues(self) -> None:
        """Keep new connections out of the queues of our own listeners: they are emptied, then closed. Idempotent."""
        for listener in self._open:
            if not listener.inherited:
                accept_barrier.turn_away(listener.socket)

    def close(self) -> None:
        """Close our copies and unlink our own socket files; what workers have stays open."""
        for listener in self._open:
            self._closing(listener)
            listener.close()
        for listener in self._refusing:
            listener.close()
        self._open.clear()
        self._refusing.clear()

    def end(self, *, spare_waiting: bool = False) -> tuple[str, ...]:
        """Close our own listeners in all processes, and our copies of the others; the addresses that were closed.

        A process that an application forked may have a copy. `spare_waiting`: some worker may still take who waits
        (orders.CloseListeners).
        """
        closed = []
        for listener in self._open[:]:
            may_spare = spare_waiting and not listener.inherited
            if may_spare and listener.socket.family != socket.AF_UNIX and listener.is_waited_at:
                continue
            self._closing(listener)
            closed.append(listener.address)
            self._open.remove(listener)
            if may_spare and listener.socket.family == socket.AF_UNIX:
                accept_barrier.refuse(listener.socket)
                listener.unlink()
                self._refusing.append(listener)
            else:
                self._end(listener)
        while self._refusing and not spare_waiting:
            self._end(self._refusing.pop())
        return tuple(closed)

    def _end(self, listener: Listener) -> None:
        if not listener.inherited and (left := accept_barrier.end(listener.socket)):
            self._log("listener.abandoned", address=listener.address, waiting=left)
        listener.close()

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
                for listener in bind_patiently(address, binding, self._log):
                    self._add(listener, "socket.bound")
        if unused and not binding.is_default:
            self._log("socket.unused", addresses=unused, reason="socket activation (LISTEN_FDS) says where to listen")

    def _add(self, listener: Listener, event: str) -> None:
        self._open.append(listener)
        more = {"source": listener.source} if event == "socket.inherited" else {}
        self._log(event, address=listener.address, fd=listener.socket.fileno(), **more)
        for doubt in listener.doubts:
            self._log("socket.exposed", address=listener.address, reason=doubt)


def somaxconn(place: Path = SOMAXCONN) -> int | None:
    """The most connections that the kernel lets an accept queue hold (listen(2)); None where it does not say."""
    try:
        return int(place.read_text("ascii"))
    except (OSError, ValueError):
        return None


def inherit(fd: int, called: str, source: str) -> Listener:
    """The listener that was left open as this descriptor; ListenerError if it is none."""
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
    return listener_of(inherited, address_of(inherited), source, inherited=True)


def _what_is_wrong(inherited: socket.socket) -> str | None:
    if inherited.type != socket.SOCK_STREAM:
        return f"is not a stream socket ({socket.SocketKind(inherited.type).name})"
    if inherited.family not in STREAM_FAMILIES:
        return "is neither a TCP nor a Unix socket"
    if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "is a socket, but not a listening one"
    return None
