"""A server inside of a program that has another purpose: a test, a notebook, a program with an event loop of its own.

Two ways in, and one server behind them. `async with` serves in the event loop that runs; `with` serves in a thread,
with an event loop of its own. Neither touches a signal, nor the garbage collector, nor what processes that the program
forks inherit: those are the program's. So there may be several at once, and one after the other.

The loop that runs it is the program's, and so are its tasks: what the program cancels is not the server's, which is not
among asyncio.all_tasks() (own_tasks). But one task that waits for it is: asyncio.run() cancels what a program left
behind, waits for that, and closes the loop. A server whose block did not end by then (Ctrl-C, an exception in another
task) would be left half-way: no lifespan shutdown, and its sockets and their files still there.

An exception of the start is raised where the block begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import reprlib
import socket
import threading
from collections.abc import Sequence
from types import TracebackType

from server_core.asgi.adapters import Application, adapt
from server_core.asgi.loader import load
from server_core.http1 import header_parser
from server_core.log import EVENTS, setup
from server_core.runtime import event_loop, own_tasks
from server_core.server import access_log
from server_core.settings.declaration import ServerSettings
from server_core.standalone.bind import places
from server_core.standalone.runner import BEAT_S, address_of, open_listener, unlinked_afterwards
from server_core.worker.scoreboard import Scoreboard
from server_core.worker.service import Ending, Service, configure_logging


class EmbeddedServer:
    """Serves from the beginning of an `async with` or `with` block to its end. It can be entered once."""

    def __init__(self, app: object, settings: ServerSettings, bind: str | Sequence[str]) -> None:
        self._app = app
        self._settings = settings
        self._places = places(bind)
        self._log = setup(form=settings.log_format, level=settings.log_level, table=EVENTS)
        self._addresses: tuple[str, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._service: Service | None = None
        self._ending: asyncio.Future[Ending] | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._has_begun = threading.Event()
        self._is_asked_to_end = False
        """Until the thread's loop runs there is no `_ending` to say it to."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, `host:port` or `unix:path`, in the order of `bind`; instead of port 0 the one it got."""
        return self._addresses

    @property
    def started(self) -> bool:
        """Whether it serves: the lifespan start-up is complete, and it was not asked to stop."""
        return bool(self._addresses) and self._ending is not None and not self._ending.done()

    def stop(self) -> None:
        """Ask it to stop, as the end of the block does, which waits for it. From any thread; idempotent.

        Asked before it serves, it ends without having served, and the block begins all the same.
        """
        self._is_asked_to_end = True
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self._loop.call_soon_threadsafe(self._end)

    async def __aenter__(self) -> EmbeddedServer:
        """Raises UsageError, ListenerError or BootError."""
        self._enter()
        self._loop = asyncio.get_running_loop()
        begun: asyncio.Future[None] = self._loop.create_future()
        self._task = own_tasks.begin(self._live(self._loop, begun), self._loop)
        self._keeper = asyncio.Task(self._keep(self._task), loop=self._loop, name="server_core.serve")
        try:
            await asyncio.wait({begun, self._task}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # cancelled: it must not be left half begun
            await self._finish()
            raise
        if not begun.done():
            await self._finish()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._finish()

    def __enter__(self) -> EmbeddedServer:
        """Raises UsageError, ListenerError or BootError."""
        self._enter()
        self._thread = threading.Thread(target=self._run, name="server_core.serve", daemon=True)
        try:
            self._thread.start()
            self._has_begun.wait()
        except BaseException:  # interrupted: it must not be left half begun
            self.__exit__(None, None, None)
            raise
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # it could not be started
                self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _enter(self) -> None:
        if self._task is not None or self._thread is not None:
            raise RuntimeError("serve: a server can be entered once; call server_core.serve() again for another one")
        configure_logging(self._settings)

    async def _finish(self) -> None:
        """End it, and wait until it has ended, however often this is cancelled: each time hurries the end.

        The block must not end before the server. It would serve on with no way to stop it, on ports that the program
        takes for free.
        """
        assert self._task is not None
        assert self._keeper is not None
        self._end()
        cancelled: asyncio.CancelledError | None = None
        while not self._keeper.done():
            try:
                await asyncio.wait({self._keeper})
            except asyncio.CancelledError as error:
                cancelled = error
                if self._service is not None:
                    self._service.cut_short()
        if cancelled is not None:
            raise cancelled
        self._task.result()

    async def _keep(self, server: asyncio.Task[None]) -> None:
        """Lasts as long as the server; cancelled, it ends the server first."""
        while not server.done():
            try:
                await asyncio.wait({server})
            except asyncio.CancelledError:
                self._end()

    def _end(self) -> None:
        self._is_asked_to_end = True
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(Ending(self._settings.graceful_timeout, final=True))

    def _run(self) -> None:
        """The life of the thread."""
        try:
            _, factory = event_loop.choose(self._settings.loop)
            with asyncio.Runner(loop_factory=factory) as runner:
                self._loop = loop = runner.get_loop()
                begun: asyncio.Future[None] = loop.create_future()
                begun.add_done_callback(lambda _: self._has_begun.set())
                event_loop.complete(loop, own_tasks.begin(self._live(loop, begun), loop), self._exit_attempted)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._failure = error
        finally:
            self._has_begun.set()

    def _exit_attempted(self, error: BaseException) -> None:
        """The application stopped the thread's loop, or called sys.exit() outside a request: requests end in order."""
        self._failure = error
        self._end()

    async def _live(self, loop: asyncio.AbstractEventLoop, begun: asyncio.Future[None]) -> None:
        """Boot, serve until asked to stop, end; nothing of that where that was asked before."""
        self._ending = ending = loop.create_future()
        if self._is_asked_to_end:
            return
        header_parser.choose(self._settings.http)
        access_log.choose(self._settings)
        with contextlib.ExitStack() as stack:
            listeners: list[socket.socket] = []
            for place in self._places:
                listeners.append(stack.enter_context(contextlib.closing(open_listener(place))))
                stack.enter_context(unlinked_afterwards(place.uds))
            self._service = service = self._made(self._application())
            server = await service.boot(ending, lambda: None, lambda: None)
            if server is not None:
                for listener in listeners:
                    server.listen(listener)
                self._addresses = tuple(map(address_of, listeners))
                server.serve()
                fields = {"loop": type(loop).__module__.partition(".")[0], "http": server.parser}
                self._log("server.started", addresses=list(self._addresses), pid=os.getpid(), **fields)
                begun.set_result(None)
            order = await ending
            service.draining.begin()
            await service.end(order, lambda: None, lambda: None)
            self._log("server.stopped", pid=os.getpid())

    def _application(self) -> Application:
        settings = self._settings
        if not isinstance(self._app, str):
            return adapt(self._app, reprlib.repr(self._app), settings.interface)
        return load(settings.app, factory=settings.factory, app_dir=settings.app_dir, interface=settings.interface)

    def _made(self, app: Application) -> Service:
        return Service(
            app,
            self._settings,
            Scoreboard.private(),
            log=self._log,
            generation=1,
            beat_s=BEAT_S,
            on_max_requests=lambda _: self._end(),
        )
