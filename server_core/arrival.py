"""An accepted socket on its way to become a connection.

What makes a connection of a socket is a coroutine, because asyncio's way is one, and a TLS handshake lasts. It is
driven here by what it waits for, and takes its first step at once. Rejected: a task for it, which costs a context, an
entry in asyncio's set of all tasks and two turns of the loop, and which nothing in there needs: it waits for futures
only, and asks neither for the current task nor for asyncio.timeout().
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import cast


class Accepted(socket.socket):
    """A socket whose family and kind are numbers.

    socket.accept() makes members of an enumeration of them, and they are asked for five times until there is a
    transport. That costs 3 us a connection (CPython 3.11).
    """

    __slots__ = ()

    family = cast(socket.AddressFamily, socket.SocketType.family)
    type = cast(socket.SocketKind, socket.SocketType.type)


def accept(listener: socket.socket) -> tuple[Accepted, object]:
    """The next connection of a queue, and its peer. As socket.accept(), which is made of the same private half."""
    fd, peer = listener._accept()  # type: ignore[attr-defined]  # in CPython since 3.0, and in PyPy
    number = socket.SocketType
    sock = Accepted(number.family.__get__(listener), number.type.__get__(listener), listener.proto, fd)
    return sock, peer


class Arrival:
    """One such coroutine under way: if it fails the socket is closed, and `settled` hears of its end in any case."""

    __slots__ = ("_coroutine", "_loop", "_settled", "_sock", "_waits_for")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[object, object, object],
        sock: socket.socket,
        settled: Callable[[Arrival], None],
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._sock = sock
        self._settled = settled
        self._waits_for: asyncio.Future[object] | None = None

    def go(self, waited: asyncio.Future[object] | None = None) -> None:  # noqa: ARG002 - a future's callback gets it
        """Take the next step, up to the next future."""
        try:
            future = self._coroutine.send(None)
        except StopIteration:
            pass
        except (OSError, asyncio.CancelledError):  # the client has gone; or by cancel()
            self._sock.close()
        except Exception as error:  # noqa: BLE001 - one client's; a task would report it in the same way
            self._sock.close()
            told = {"message": "an accepted socket could not become a connection", "exception": error}
            self._loop.call_exception_handler(told)
        else:
            self._waits_for = cast("asyncio.Future[object]", future)
            self._waits_for.add_done_callback(self.go)
            return
        self._waits_for = None
        self._settled(self)

    def cancel(self) -> None:
        """Give it up: the coroutine is told in the loop's next turn, as one in a task would be."""
        if self._waits_for is not None:
            self._waits_for.cancel()
