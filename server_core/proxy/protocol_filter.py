"""Where connections come in when all of them must begin with a PROXY header: it is taken off before anything else.

It is read from the socket itself, because TLS comes behind it, and byte by byte no further than it reaches: what was
looked at (MSG_PEEK) is taken only as far as it belongs to it. So nothing has to be handed to the transport, and a
level-triggered loop does not turn over bytes that were left lying. Each socket waits on its own, until its deadline.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from server_core.log import Log
from server_core.proxy.protocol_header import LONGEST, Header, NotProxied, read_header
from server_core.proxy.trusted_peers import parse_trusted
from server_core.runtime.server_loop import ServerLoop
from server_core.settings.declaration import ServerSettings
from server_core.transport.socket_info import unmapped

QUIET_S: Final = 60.0
"""Between two lines about refused connections: a proxy that was not told to send headers has them all refused, and
scanners never stop. Chosen; no evidence."""


class ProxyProtocolFilter:
    """Takes the header off accepted sockets that come from proxies; refuses the others."""

    def __init__(self, loop: ServerLoop, settings: ServerSettings, log: Log) -> None:
        self._loop = loop
        self._trusted = parse_trusted(settings.proxy_allow_ips)
        self._timeout_s = settings.header_timeout
        self._log = log
        self._refused = 0
        self._quiet_until = 0.0

    async def admit(self, sock: socket.socket, peer: object) -> tuple[socket.socket, object, object] | None:
        """The socket, the client's address and, if it is not the socket's own, the one it connected to.

        The header is taken off. None if the connection may not come in, and the socket is closed.
        """
        header: Header | None = None
        sock.setblocking(False)
        try:
            if not self._trusted.trusts(peer):
                raise NotProxied("not a proxy by proxy-allow-ips")
            header = await self._take(sock)
        except NotProxied as error:
            self._refuse(peer, str(error))
        except TimeoutError:
            self._refuse(peer, "no PROXY header within header-timeout")
        except OSError:  # the client has gone
            pass
        finally:  # also when the server gives everything up
            if header is None:
                sock.close()
        if header is None:
            return None
        return sock, (peer if header.client is None else unmapped(header.client)), header.server

    async def _take(self, sock: socket.socket) -> Header | None:
        data = b""
        deadline = self._loop.time() + self._timeout_s
        while True:
            try:
                seen = sock.recv(LONGEST, socket.MSG_PEEK)
            except BlockingIOError:
                if self._loop.time() >= deadline:
                    raise TimeoutError from None
                await self._readable(sock, deadline)
                continue
            if not seen:
                if data:
                    raise NotProxied("a PROXY header that breaks off")
                return None  # who connects and says nothing only looks whether somebody is there
            header = read_header(data + seen)
            data += sock.recv(len(seen) if header is None else header.length - len(data))
            if header is not None:
                return header

    async def _readable(self, sock: socket.socket, deadline: float) -> None:
        # Another process that holds the listener may have set it there (listener_guard.py), and no beat looks at this.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        readable = self._loop.create_future()
        self._loop.add_reader(sock.fileno(), _resolve, readable)
        timer = self._loop.call_at(deadline, _expire, readable)
        try:
            await readable
        finally:
            timer.cancel()
            self._loop.remove_reader(sock.fileno())

    def _refuse(self, peer: object, reason: str) -> None:
        self._refused += 1
        now = self._loop.time()
        if now >= self._quiet_until:
            self._log("proxy.refused", reason=reason, client=str(peer), times=self._refused)
            self._quiet_until = now + QUIET_S
            self._refused = 0


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
