"""One listener: bound, bound patiently, or made to listen again. Host side."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final

from server_core.contract import listener_options
from server_core.contract.spec import ListenerSpec
from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d.errors import ListenerError, StoppedWaiting
from supervisor_d.host.sockets.predecessor import Predecessor, stop_asked_for
from supervisor_d.host.unix_sockets import unix_path
from supervisor_d.settings.values.address import Address, TcpAddress, UnixAddress, parse_address

BUSY_FOR_S: Final = 1.0
"""How long a busy address is tried: workers of a master that was killed close their listeners as soon as they notice,
which takes a turn of their event loop. Chosen: no evidence for more."""
BUSY_RETRY_MS: Final = 20


@dataclass(frozen=True, slots=True)
class Binding:
    """What the operator wants: the addresses, and for messages where that was said ("flag --bind").

    Passed sockets of the names in `elsewhere` are not for requests, and are opened elsewhere.
    """

    addresses: Sequence[Address]
    source: str
    backlog: int
    unix_mode: int
    is_default: bool = False
    group: int | None = None
    """Of Unix sockets' files; None: our own."""
    elsewhere: frozenset[str] = frozenset()
    patience_s: float = 0.0
    """How long workers that a master left behind are waited for where they hold an address."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One open listener; `place` is the socket file that we made for it, if we did, `options` what it was set to then.

    One that is inherited outlives us: the clients in its queue are served by the next daemon.
    """

    socket: socket.socket
    address: str
    source: str
    place: unix_path.Place | None = None
    inherited: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Close our copy, and unlink the socket file if it is ours."""
        self.unlink()  # first: while the socket is alive no other daemon takes the place
        self.socket.close()

    def unlink(self) -> None:
        """Unlink the socket file if it is ours."""
        if self.place is not None:
            self.place.give_up()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What other users of the machine may do to its socket file."""
        return self.place.doubts if self.place is not None else ()

    @property
    def is_waited_at(self) -> bool:
        """Whether a connection waits in the accept queue."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return any(events & select.POLLIN for _, events in poll.poll(0))

    @property
    def path(self) -> str:
        """Of the socket file that was made here; empty if there is none."""
        return self.place.path if self.place is not None else ""

    def what_is_wrong(self) -> str | None:
        """Why its clients do not find its socket file; None if they do, or if there is none."""
        return self.place.what_is_wrong() if self.place is not None else None

    @property
    def has_only_a_name(self) -> bool:
        """Whether it is known by an abstract name of ours, which is bound as long as any process has the socket."""
        return not self.inherited and self.address.startswith("unix:@")

    @property
    def spec(self) -> ListenerSpec:
        return ListenerSpec(self.socket.fileno(), self.address, self.options)


def bind_patiently(
    address: TcpAddress | UnixAddress, binding: Binding, tell: Callable[..., None] = lambda *_, **__: None
) -> list[Listener]:
    """Bind, and for a moment keep trying an address that is still busy; longer while a predecessor's workers hold it.

    `tell` is called with an event and its facts (Predecessor). Raises ListenerError, or StoppedWaiting if a signal asks
    for an end meanwhile.
    """
    predecessor = Predecessor(address, binding.patience_s, tell)
    give_up_at = clock.now() + BUSY_FOR_S
    while True:
        try:
            return _bind_tcp(address, binding) if isinstance(address, TcpAddress) else [_bind_unix(address, binding)]
        except OSError as error:
            is_busy = error.errno == errno.EADDRINUSE
            if is_busy and clock.now() >= give_up_at and predecessor.makes_room():
                give_up_at = clock.now() + BUSY_FOR_S
            if not is_busy or clock.now() >= give_up_at:
                raise ListenerError(f"{address}: {_plainly(error, address)} (bind, from {binding.source})") from None
            if predecessor.is_awaited and stop_asked_for():
                raise StoppedWaiting(f"{address}: stopped while it waited for a predecessor's workers") from None
            select.poll().poll(BUSY_RETRY_MS)  # before the loop runs there is nothing else to attend to


def _of_low_ports(address: TcpAddress | UnixAddress) -> str:
    """What a port that only the privileged may bind needs (ip(7), ip_unprivileged_port_start)."""
    if isinstance(address, UnixAddress):
        return ""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except OSError:  # not Linux
        first = 1024
    if address.port >= first:
        return ""
    return f"; ports below {first} need root or CAP_NET_BIND_SERVICE, or choose another"


def _plainly(error: OSError, address: TcpAddress | UnixAddress) -> str:
    if isinstance(address, UnixAddress) and error.errno in (errno.ENOENT, errno.ENOTDIR):
        directory = os.path.dirname(address.path) or "."
        wrong = "does not exist; make it" if error.errno == errno.ENOENT else "is a file, or below one; remove that"
        return f"the directory {directory} {wrong}, or choose another path"
    if error.errno == errno.EADDRINUSE:
        by = str(error.strerror).partition(unix_path.IN_USE_BY)[2]
        return f"already in use by {by}" if by else "already in use; stop what listens there, or choose another"
    if error.errno == errno.EACCES:
        return f"permission denied{_of_low_ports(address)}"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            "cannot assign requested address: no interface here has it; choose one of this machine, or 0.0.0.0 or [::]"
        )
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
        for family, kind, protocol, _, (host, _, *scope) in dict.fromkeys(found):
            try:
                # A link-local address means nothing without its interface, sin6_scope_id (ipv6(7)).
                opened = _listen_tcp(socket.socket(family, kind, protocol), (host, port, *scope), binding.backlog)
            except OSError as error:
                if bound and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue  # "localhost" names ::1 even where IPv6 is off
                raise
            bound.append(listener_of(opened, address_of(opened), binding.source))
            port = int(opened.getsockname()[1])
    except OSError:
        for listener in bound:
            listener.socket.close()
        raise
    return bound


def _only_configured(host: str) -> int:
    """AI_ADDRCONFIG for names only: it would refuse the literal 127.0.0.1 where only loopback is up (RFC 3493)."""
    return 0 if host.replace(".", "").isdigit() or ":" in host or host == "localhost" else socket.AI_ADDRCONFIG


def _listen_tcp(opened: socket.socket, address: tuple[object, ...], backlog: int) -> socket.socket:
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
    return listener_of(opened, str(address), binding.source, place)


def listener_of(
    opened: socket.socket,
    address: str,
    source: str,
    place: unix_path.Place | None = None,
    *,
    inherited: bool = False,
) -> Listener:
    """The listener, with what it is set to as long as no worker has it."""
    return Listener(opened, address, source, place, inherited, listener_options.capture(opened))


def address_of(opened: socket.socket) -> str:
    """What people call it: the address with the real port."""
    name = opened.getsockname()
    if opened.family == socket.AF_UNIX:
        text = os.fsdecode(name)
        return f"unix:@{text[1:]}" if text.startswith("\0") else f"unix:{text}"
    host, port, *scope = name
    if len(scope) == 2 and scope[1]:  # getsockname(2) tells the interface apart, by its number
        host = f"{host}%{_interface(scope[1])}"
    return str(TcpAddress(host, port))


def _interface(number: int) -> str:
    try:
        return socket.if_indextoname(number)
    except OSError:  # it is gone
        return str(number)


def listen_again(listener: Listener, binding: Binding) -> Listener:
    """The listener, which was shut down or has lost its socket file, or another in its place.

    Raises OSError, EOPNOTSUPP if it will never be possible. Of an abstract name our copy of the socket is closed then.

    A TCP socket that listens again does so in every process. It keeps its port only if that was asked for by number
    (net/ipv4/inet_connection_sock.c, SOCK_BINDPORT_LOCK), so that it is bound again where the kernel lets it be.
    """
    if listener.socket.family != socket.AF_UNIX:
        try:
            listener.socket.bind(listener.socket.getsockname())
        except OSError as error:
            if error.errno != errno.EINVAL:  # it still is bound
                raise
        listener.socket.listen(binding.backlog)
        return listener
    if listener.inherited:
        raise OSError(errno.EOPNOTSUPP, "a Unix socket that was passed to us has to be made anew by who passed it")
    address = parse_address(listener.address)
    assert isinstance(address, UnixAddress)
    if address.is_abstract:
        listener.socket.close()  # with ours open it is never free
    try:
        made = _bind_unix(address, binding)
    except OSError as error:
        if not address.is_abstract or error.errno != errno.EADDRINUSE:
            raise
        reason = (
            "an abstract name is free only when no process has its socket, and one still has it: workers are asked to "
            "close it; if it stays so, stop the daemon, and start it"
        )
        raise OSError(error.errno, reason) from None
    listener.socket.close()
    return made
