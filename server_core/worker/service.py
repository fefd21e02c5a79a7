"""One application served by this process: lifespan around a server, from boot to the last request.

The worker and the server alone share this; they differ in who tells them when.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from server_core.access_log.record import Place
from server_core.asgi.adapters import Application
from server_core.asgi.draining import NAME, Draining
from server_core.asgi.health_check import probe
from server_core.asgi.lifespan import Lifespan
from server_core.asgi.loader import load
from server_core.contract.messages import CLEAN_UP_S, GIVE_UP_S
from server_core.errors import BootError
from server_core.listen.fair_accept import FairAccept
from server_core.log import EVENTS, Log
from server_core.proxy.request_id import STATE_KEY
from server_core.records import dataclass
from server_core.runtime import own_tasks
from server_core.runtime.deferred_imports import import_late
from server_core.runtime.gc_thresholds import few_collections
from server_core.runtime.heap import keep_freed_memory
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from server_core.tls.context import Contexts
from server_core.tls.termination import load as load_tls
from server_core.worker.heartbeat import LoopBeat
from server_core.worker.scoreboard import Scoreboard
from server_core.wsgi.middleware import WSGIMiddleware
from server_core.wsgi.served import ALARM, Alarm

LIFESPAN_SHARE: Final = 0.2
LIFESPAN_SHARE_MAX_S: Final = 5.0
"""Part of a drain's budget that is kept for the lifespan shutdown, and its upper bound. Chosen; no evidence: closing a
connection pool takes milliseconds, and a request should not be cut off much before the time it was promised."""

EXIT_SHARE_MAX_S: Final = 2 * CLEAN_UP_S
"""The bound where there is no lifespan: the clean-up, and the interpreter's end. A drain that used the whole budget for
requests would be told hung by the master, whose deadline is the same one."""


def import_application(settings: ServerSettings, log: Log, *, to_be_forked: bool = False) -> Application:
    """The application the settings name, its modules taken out of the garbage collector's sight.

    What an import builds (classes, functions, routes, schemas) lives as long as the process. gc.freeze() moves it to
    the permanent generation, so that no later full collection walks it: that pause comes out of some client's
    latency. First collect: garbage that is frozen is never freed. Of an import that the collector looked at once at
    most, only what came since: to look at all of a FastAPI application again takes 15 ms of a start and finds nothing.

    Where workers will be forked the collector looks as often as ever: garbage that is found late leaves its gaps all
    over what they share, and what they put into these is 0.7 MiB of copied pages in each (11.8 MiB instead of 11.1,
    four workers of a FastAPI application).

    Thresholds from 700 to 50,000 then make no difference to hello or Starlette (measured: CPU time, CPython 3.11),
    so Python's own stays unless it is set: for applications that hold many objects of their own.
    """
    configure_logging(settings)
    began_at = time.monotonic()
    with contextlib.nullcontext() if to_be_forked else few_collections():
        looks = _looks()
        app = load(settings.app, factory=settings.factory, app_dir=settings.app_dir, interface=settings.interface)
        import_late()
        if isinstance(app, WSGIMiddleware):
            importlib.import_module("server_core.http1.wsgi_serving")  # once for all workers that will be forked
    gc.collect(0 if _looks() <= looks + 1 else 2)
    gc.freeze()
    keep_freed_memory()
    if settings.gc_threshold:
        gc.set_threshold(settings.gc_threshold, *gc.get_threshold()[1:])
    log("application.imported", app=settings.app, duration_s=round(time.monotonic() - began_at, 3))
    return app


def configure_logging(settings: ServerSettings) -> None:
    """Apply log-config in this process, which imports the application next. Raises UsageError."""
    if settings.log_config:
        from server_core import log_config  # here: few have such a file

        log_config.apply(settings.log_config)
    elif settings.log_format == "uvicorn":
        from server_core import uvicorn_logging  # here: for those who come from there

        uvicorn_logging.install_defaults(settings.log_level)


def routed(log: Log, settings: ServerSettings, bound: Mapping[str, object]) -> Log:
    """Where log-config wants events; `bound` are facts that each has."""
    if not settings.log_config:
        return log
    from server_core import log_config  # here: few have such a file

    return log_config.routed(log, EVENTS, bound)


def _looks() -> int:
    """How often the collector has looked, at anything."""
    return sum(generation["collections"] for generation in gc.get_stats())


def _tell_interface(is_wsgi: bool, settings: ServerSettings, log: Log) -> None:
    """Say what `auto` has found, and which setting has no effect on it."""
    if is_wsgi and settings.interface == "auto":
        log("application.detected", app=settings.app, interface="wsgi")
    if not is_wsgi and settings.threads != ServerSettings().threads:
        log("setting.unused", setting="threads", value=settings.threads, reason="the application is not WSGI")


@dataclass(frozen=True, slots=True)
class Ending:
    """How to leave: `timeout_s` is the whole budget, lifespan shutdown included; final: nobody else accepts."""

    timeout_s: float
    final: bool


class Service:
    """Boots, serves and ends one application. Every method is for the loop's thread.

    `certificates` is what the files of TLS hold, if they have been read already. Raises UsageError if they cannot be
    used.
    """

    def __init__(
        self,
        app: Application,
        settings: ServerSettings,
        scoreboard: Scoreboard,
        *,
        log: Log,
        generation: int,
        beat_s: float,
        slot: int | None = None,
        on_max_requests: Callable[[str], None] | None = None,
        loads: FairAccept | None = None,
        certificates: Contexts | None = None,
        alarm: Alarm = ALARM,
    ) -> None:
        log = routed(log, settings, {} if slot is None else {"slot": slot, "generation": generation})
        self._app = app
        self._settings = settings
        _tell_interface(isinstance(app, WSGIMiddleware), settings, log)
        self._tls = load_tls(settings, certificates)
        self.draining = Draining()
        self._extensions = {NAME: self.draining}
        self._lifespan = Lifespan(app, settings.lifespan, name=settings.app, log=log, extensions=self._extensions)
        self._log = log
        self._scoreboard = scoreboard
        self._generation = generation
        self._slot = slot
        self._beat_s = beat_s
        self._on_max_requests = on_max_requests
        self._loads = loads
        self._alarm = alarm
        self._beat: LoopBeat | None = None
        self._server: Server | None = None
        self._step: asyncio.Task[object] | None = None
        self._is_hurried = False

    async def boot(
        self, ending: asyncio.Future[Ending], started: Callable[[], object], each_beat: Callable[[], object]
    ) -> Server | None:
        """The server, once lifespan start-up and the health probe are through; BootError if one is not.

        `started` is called between the two, `each_beat` about once a second from then on. None if `ending` came first:
        then whatever had begun has been undone.
        """
        boot = own_tasks.begin(self._start(started, each_beat), asyncio.get_running_loop())
        either: set[asyncio.Future[Server] | asyncio.Future[Ending]] = {boot, ending}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if boot.done():
            self._server = boot.result()
            return self._server
        boot.cancel()
        with contextlib.suppress(asyncio.CancelledError, BootError):
            await boot
        return None

    async def _start(self, started: Callable[[], object], each_beat: Callable[[], object]) -> Server:
        await self._lifespan.startup()
        started()
        state = self._lifespan.state if self._lifespan.is_started else None
        if self._settings.health_path:
            await self._prove(state)
        server = Server(
            self._app,
            self._settings,
            asyncio.get_running_loop(),
            log=self._log,
            state=state,
            on_max_requests=self._on_max_requests,
            tls=self._tls,
            place=None if self._slot is None else Place(self._slot, self._generation, os.getpid()),
            loads=self._loads,
            extensions=self._extensions,
            alarm=self._alarm,
        )
        self._beat = LoopBeat(
            self._scoreboard,
            server,
            beat_s=self._beat_s,
            pid=os.getpid(),
            generation=self._generation,
            also=each_beat,
        )
        self._beat.start()
        return server

    async def _prove(self, state: dict[str, object] | None) -> None:
        if self._settings.request_id != "off":
            state = {**(state or {}), STATE_KEY: "health-probe"}
        try:
            await probe(self._app, self._settings.health_path, root_path=self._settings.root_path, state=state)
        except BaseException:  # cancelled, too: whatever was started is to be shut down
            await self._lifespan.shutdown(LIFESPAN_SHARE_MAX_S)
            raise

    async def end(self, ending: Ending, left: Callable[[], object], finished: Callable[[], object]) -> None:
        """Leave the listeners, finish or give up the requests, run the lifespan shutdown.

        `left` is called once the listeners are closed, `finished` when the requests are over.
        """
        deadline = time.monotonic() + ending.timeout_s
        server = self._server
        if server is None:
            left()
            finished()
        else:
            server.leave(final=ending.final, left=left)
            try:
                await self._give_time_to(self._drain(server, ending))
            finally:
                server.close()
            finished()
            await self._give_time_to(self._lifespan.shutdown(max(GIVE_UP_S, deadline - time.monotonic())))
        if self._beat is not None:
            self._beat.stop()

    @property
    def shutdown_error(self) -> str:
        """Why the lifespan shutdown failed, in one line; empty if it did not."""
        return self._lifespan.shutdown_error

    def cut_short(self) -> None:
        """Give up the step of the end that is under way: the requests first, then the lifespan shutdown."""
        if self._step is None:
            self._is_hurried = True  # word came with the order to drain
        else:
            self._step.cancel()

    async def _give_time_to(self, step: Coroutine[object, object, None]) -> None:
        task = own_tasks.begin(self._take(step), asyncio.get_running_loop())
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def _take(self, step: Coroutine[object, object, None]) -> None:
        """Do a step that can be cut short from now on: cancelled before, it would do nothing, not even clean up."""
        self._step = asyncio.current_task()
        if self._is_hurried and self._step is not None:
            self._is_hurried = False
            self._step.cancel()
        await step

    async def _drain(self, server: Server, ending: Ending) -> None:
        """Finish the requests within their part of the budget, or give them up."""
        most_s = LIFESPAN_SHARE_MAX_S if self._lifespan.is_started else EXIT_SHARE_MAX_S
        reserve_s = min(ending.timeout_s * LIFESPAN_SHARE, most_s)
        finished = False
        try:
            finished = await server.drain(max(0.0, ending.timeout_s - reserve_s), final=ending.final)
        finally:
            if not finished:
                server.abort()
                # What was cancelled cleans up before the lifespan shutdown takes away what it uses.
                await server.drain(CLEAN_UP_S, final=ending.final)
