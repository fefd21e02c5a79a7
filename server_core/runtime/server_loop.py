"""The event loop as the server uses it: what it calls for the server, it calls in the server's own context.

The loop calls back in the context that asked it to (PEP 567; asyncio, "Developing with asyncio"). A server asks in the
midst of requests: when a response is complete, when a connection closes inside send(). Such a callback would carry one
client's context variables into whatever it does next, which is to accept connections and to read other clients'
requests. So there are two rules:

 1. Each request's task gets a new copy of the worker's context as that was when the server was made (new_context()).
    Nothing ever runs in that one itself, so that no copy holds what another request has set.
 2. Whatever the loop is to call for the server is registered here, and runs in a copy that is the server's.

Either rule alone would keep requests apart. The first holds even if application code that the server calls (an
sni_callback, a loop's exception handler) sets variables; the second keeps timers and readers from holding a client's
context in memory. Rejected: `context=` at each call, which is forgotten once, and add_reader() does not take it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final, Protocol

EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}

NewTask: Final[Callable[..., asyncio.Task[None]]] = partial(asyncio.Task, **EAGER) if EAGER else asyncio.Task
"""Makes the one real task of one request, and starts it at once where Python can. It is given a loop, a
context and a name: one that is made up (Task-4711) costs 0.2 us, and with eager_start a task asks no running loop for
itself (AttributeError, CPython 3.12 and 3.13). By a partial() only where there must be one: 60 ns dearer (3.11)."""


class Soon(Protocol):
    """loop.call_soon()."""

    def __call__(self, callback: Callable[..., object], /, *args: object) -> asyncio.Handle: ...


class Timed(Protocol):
    """loop.call_later() and loop.call_at(), in seconds."""

    def __call__(self, when: float, callback: Callable[..., object], /, *args: object) -> asyncio.TimerHandle: ...


class ServerLoop:
    """One running loop for one server. The names are asyncio's, the context is not the caller's."""

    __slots__ = (
        *("asyncio_loop", "call_at", "call_later", "call_soon", "context", "create_future", "new_context"),
        *("remove_reader", "remove_writer", "time"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asyncio_loop = loop
        self.new_context: Callable[[], Context] = copy_context().copy
        """A context for what is a client's: a copy of the worker's, which costs the same whatever is in it."""
        self.context = self.new_context()
        """The server's own, for futures' callbacks."""
        # Not methods: these are called for each connection, and for each part of a stream.
        self.call_soon: Soon = partial(loop.call_soon, context=self.context)
        self.call_later: Timed = partial(loop.call_later, context=self.context)
        self.call_at: Timed = partial(loop.call_at, context=self.context)
        self.create_future: Callable[[], asyncio.Future[None]] = loop.create_future
        self.remove_reader, self.remove_writer = loop.remove_reader, loop.remove_writer
        self.time: Callable[[], float] = loop.time

    def add_reader(self, fd: int, callback: Callable[..., object], *args: object) -> None:
        # Through a copy, because the server's own may be the one that this is called in: a context that is entered
        # cannot be entered once more (contextvars.Context.run).
        self.new_context().run(partial(self.asyncio_loop.add_reader, fd, callback, *args))

    def add_writer(self, fd: int, callback: Callable[..., object], *args: object) -> None:
        self.new_context().run(partial(self.asyncio_loop.add_writer, fd, callback, *args))

    def call_exception_handler(self, told: dict[str, object]) -> None:
        """Report a fault; the handler is the application's, if it has set one."""
        self.new_context().run(self.asyncio_loop.call_exception_handler, told)
