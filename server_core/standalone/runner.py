"""The server without a supervisor: one process that opens its own listener and is stopped by a signal.

SIGTERM and SIGINT stop it gracefully within graceful-timeout; a second SIGINT gives up what is unfinished. Where there
is an access log SIGUSR1 opens its file anew; elsewhere that signal is the application's. Exceptions, not exit codes,
say what went wrong: `python -m server_core` turns them into codes, `server_core.run` lets them rise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import reprlib
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from server_core.asgi.adapters import Application, adapt
from server_core.errors import BootError, ListenerError, UsageError, application_traceback, cause_of
from server_core.http1 import header_parser
from server_core.log import EVENTS, Log, setup
from server_core.runtime import event_loop
from server_core.runtime.forked_child import Belongings, withholding
from server_core.server import access_log
from server_core.server.server import Server
from server_core.settings.declaration import ServerSettings
from server_core.standalone.bind import BindAddress
from server_core.tls.checks import tls_expiries
from server_core.worker.scoreboard import Scoreboard
from server_core.worker.service import Ending, Service, configure_logging, import_application
from server_core.worker.stop_signals import Notice

BACKLOG: Final = 2048
"""As the daemon's own default (listen(2)); the kernel caps it at net.core.somaxconn."""

BEAT_S: Final = 1.0
"""Interval of the server's sweep over its deadlines, as under a supervisor."""


def open_listener(place: BindAddress) -> socket.socket:
    """A listening socket; ListenerError says what is in the way."""
    place.check()
    try:
        if place.fd is not None:
            return _adopted(place.fd)
        if place.uds is not None:
            return _bound_unix(place.uds)
        return _bound_tcp(place.host, place.port)
    except OSError as error:
        raise ListenerError(f"cannot listen on {_told(place)}: {error}") from error


def _told(place: BindAddress) -> str:
    if place.fd is not None:
        return f"fd://{place.fd}"
    return f"unix:{place.uds}" if place.uds is not None else f"{place.host}:{place.port}"


def _adopted(fd: int) -> socket.socket:
    os.fstat(fd)
    sock = socket.socket(fileno=os.dup(fd))  # the caller's own stays open, ours is not inherited (PEP 446)
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.close()
        raise ListenerError(f"cannot listen on fd://{fd}: it is a socket, but not a listening one")
    return sock


def _bound_tcp(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _bound_unix(path: str) -> socket.socket:
    """A socket file left by a dead process is replaced; a live one, or any other file, never."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise ListenerError(f"cannot listen on unix:{path}: it exists, and is no socket")
            if _answers(path):
                raise ListenerError(f"cannot listen on unix:{path}: another process is listening there")
            os.unlink(path)
        sock.bind(path)
        sock.listen(BACKLOG)
    except BaseException:  # cleans up and raises it again, whatever it is
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:  # its accept queue is full: somebody is there, and busy
            return True
        return True


def address_of(sock: socket.socket) -> str:
    """What people call this listener's address."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name.decode() if isinstance(name, bytes) else name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"


class Alone:
    """One process's server: boots, serves until a signal, ends."""

    def __init__(self, app: Application, settings: ServerSettings, log: Log) -> None:
        self._service = Service(
            app,
            settings,
            Scoreboard.private(),
            log=log,
            generation=1,
            beat_s=BEAT_S,
            on_max_requests=self._used_up,
        )
        self._settings = settings
        self._log = log
        self._ending: asyncio.Future[Ending] | None = None
        self._server: Server | None = None
        self._exit: BaseException | None = None

    async def run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, loop_name: str) -> None:
        self._ending = ending = loop.create_future()
        heeds = {number: partial(self._stop, number) for number in (signal.SIGTERM, signal.SIGINT)}
        notice = Notice(loop, heeds, self._service.draining, self._log)
        notice.install()
        if self._settings.access_log != access_log.OFF:
            loop.add_signal_handler(signal.SIGUSR1, self._reopen)
        try:
            self._server = server = await self._service.boot(ending, lambda: None, notice.take_back)
            notice.take_back()
            if server is not None:
                address = address_of(listener)
                server.listen(listener)
                server.serve()
                self._log("server.started", addresses=[address], pid=os.getpid(), loop=loop_name, http=server.parser)
            order = await ending
            notice.announce()
            await self._service.end(order, lambda: None, lambda: None)
            self._log("server.stopped", pid=os.getpid())
        finally:
            notice.close()
            for number in heeds:
                signal.signal(number, signal.SIG_DFL)  # threads that do not end are all that is left to interrupt
        if self._exit is not None:
            raise self._exit

    def _stop(self, number: int) -> None:
        if self._ending is None or self._ending.done():
            if number == signal.SIGINT:
                self._service.cut_short()
            return
        self._ending.set_result(Ending(self._settings.graceful_timeout, final=True))

    def _reopen(self) -> None:
        if self._server is not None:
            self._server.reopen()

    def _used_up(self, _reason: str) -> None:
        """max-requests: whoever started this process starts the next one, as there is no replacement to wait for."""
        self._stop(signal.SIGTERM)

    def exit_attempted(self, error: BaseException) -> None:
        """sys.exit() outside a request: nobody will replace this process, so it ends in good order, with that code."""
        self._log("application.exited", error=cause_of(error), traceback=application_traceback(error))
        self._exit = error if isinstance(error, (SystemExit, KeyboardInterrupt)) else None
        self._stop(signal.SIGTERM)


def run(app: object, settings: ServerSettings, place: BindAddress) -> None:
    """Serve until stopped. `app` None means the application that the settings name.

    Raises UsageError, ListenerError or BootError, KeyboardInterrupt if interrupted while importing, and whatever
    SystemExit the application raised outside a request.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("run: must be called from the main thread, the only one that signals can stop")
    refuse_a_running_loop()
    log = setup(form=settings.log_format, level=settings.log_level, table=EVENTS)
    for expiry in tls_expiries(settings, time.time()):
        log(expiry.event, **expiry.facts)
    loop_name, factory = event_loop.choose(settings.loop)
    header_parser.choose(settings.http)
    access_log.choose(settings)
    with (
        contextlib.closing(open_listener(place)) as listener,
        unlinked_afterwards(place.uds),
        withholding(Belongings(log, [listener.fileno()])) as belongings,
    ):
        application = _imported(settings, log) if app is None else _adapted(app, settings)
        alone = Alone(application, settings, log)
        run = belongings.of_loop(lambda loop: alone.run(loop, listener, loop_name))
        event_loop.run(factory, run, alone.exit_attempted)


def refuse_a_running_loop() -> None:
    """A thread has one event loop at a time, and a notebook's runs already. Raises UsageError."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "run: must not be called where an event loop runs already, as in a coroutine or a notebook; "
        "there `async with server_core.serve(app):` serves"
    )


@contextlib.contextmanager
def unlinked_afterwards(path: str | None) -> Iterator[None]:
    """Remove our Unix socket's file in the end, unless another process has put its own there meanwhile."""
    if path is None:
        yield
        return
    ours = os.lstat(path).st_ino
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(path).st_ino == ours:
                os.unlink(path)


def _adapted(app: object, settings: ServerSettings) -> Application:
    configure_logging(settings)
    return adapt(app, reprlib.repr(app), settings.interface)


def _imported(settings: ServerSettings, log: Log) -> Application:
    try:
        return import_application(settings, log)
    except BootError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
