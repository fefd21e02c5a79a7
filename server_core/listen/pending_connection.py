"""An accepted socket on its way to become a connection, where that lasts: a TLS handshake, a PROXY header.

What waits for those is a coroutine. It is driven here by what it waits for, and takes its first step at once. Rejected:
a task for it, which costs a context, an entry in asyncio's set of all tasks and two turns of the loop, and which
nothing in there needs: it waits for futures only, and asks neither for the current task nor for asyncio.timeout().
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import cast

from server_core.runtime.server_loop import ServerLoop
from server_core.transport.tls_transport import Factory, TlsTransport


class PendingConnection:
    """One such coroutine under way, which closes the socket if it fails; `settled` hears of its end in any case."""

    __slots__ = ("_coroutine", "_loop", "_settled", "_waits_for")

    def __init__(
        self,
        loop: ServerLoop,
        coroutine: Coroutine[object, object, object],
        settled: Callable[[PendingConnection], None],
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._settled = settled
        self._waits_for: asyncio.Future[object] | None = None

    def go(self, waited: asyncio.Future[object] | None = None) -> None:  # noqa: ARG002 - a future's callback gets it
        """Take the next step, up to the next future."""
        try:
            future = self._coroutine.send(None)
        except (StopIteration, OSError, asyncio.CancelledError):  # done; the client has gone; or by cancel()
            pass
        except Exception as error:  # noqa: BLE001 - one client's; a task would report it in the same way
            told = {"message": "an accepted socket could not become a connection", "exception": error}
            self._loop.call_exception_handler(told)
        else:
            self._waits_for = cast("asyncio.Future[object]", future)
            self._waits_for.add_done_callback(self.go, context=self._loop.context)
            return
        self._waits_for = None
        self._settled(self)

    def cancel(self) -> None:
        """Give it up: the coroutine is told in the loop's next turn, as one in a task would be."""
        if self._waits_for is not None:
            self._waits_for.cancel()


async def shake_hands(
    loop: ServerLoop,
    context: ssl.SSLContext,
    factory: Factory,
    open_below: Callable[[TlsTransport], object],
    timeout_s: float,
) -> None:
    """Make a connection of what `open_below` opens for a stream; OSError if that came to nothing."""
    shaken: asyncio.Future[None] = loop.create_future()
    stream = TlsTransport(context, factory, shaken)
    timer = loop.call_later(timeout_s, _expire, shaken)
    try:
        open_below(stream)
        await shaken
    except BaseException:  # cancelled, too: the server gives everything up
        if not stream.is_closing():
            stream.abort()
        raise
    finally:
        timer.cancel()


def _expire(shaken: asyncio.Future[None]) -> None:
    if not shaken.done():
        shaken.set_exception(TimeoutError("the TLS handshake took too long"))
