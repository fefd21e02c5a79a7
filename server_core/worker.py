"""The worker process: told at birth by a spec, from then on by pipe messages, signals, and the master's death.

`python -P -m server_core.worker FD`. What crosses the boundary, and in which order, is in contract.py; the application
is this side's alone. How it can end, and what is still done then:

    drain, from the master      requests within their budget, lifespan shutdown, `drained`, exit 0
    the master is gone          the same within graceful-timeout; the second thread ends what is blocked
    SIGTERM, serving            asks the master to be replaced (recycle): nobody loses a request
    SIGTERM, not yet serving    lifespan shutdown, exit 0
    SIGTERM, ending             the step under way is given up: first the requests, then the lifespan shutdown
    SIGTERM, after `drained`    the kernel's default: nothing but threads and atexit functions is left to wait for
    sys.exit() in a request     that request is answered 500 (exchange)
    sys.exit() elsewhere        serving: asks to be replaced; before: could not boot
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import faulthandler
import os
import signal
import socket
import sys

from server_core import loops
from server_core.adapters import Application
from server_core.contract import MESSAGE_LIMIT, STACKS_SIGNAL, TRACEBACK_LIMIT, Message, WorkerSpec, encode
from server_core.errors import (
    EXIT_OK,
    EXIT_USAGE,
    BootError,
    ContractError,
    ServerError,
    UsageError,
    application_traceback,
)
from server_core.heartbeat import ThreadBeat
from server_core.loads import Loads
from server_core.log import EVENTS, Log, setup
from server_core.pipe import MasterGone, Pipe
from server_core.process import EarlySignals, Terminated, finish_streams
from server_core.scoreboard import Scoreboard
from server_core.server import Server
from server_core.service import GIVE_UP_S, Ending, Service, import_application
from server_core.settings import ServerSettings


class Phase(enum.Enum):
    BOOTING = "booting"
    WAITING = "waiting"
    """Ready, and not yet told to serve."""
    SERVING = "serving"
    ENDING = "ending"


class Worker:
    """The part of a worker that lives in the event loop."""

    def __init__(self, spec: WorkerSpec, pipe: Pipe, service: Service, thread: ThreadBeat, log: Log) -> None:
        self._spec = spec
        self._pipe = pipe
        self._service = service
        self._thread = thread
        self._log = log
        self._phase = Phase.BOOTING
        self._asked_to_recycle = False
        self._ending: asyncio.Future[Ending] | None = None
        self._server: Server | None = None

    async def run(self, loop: asyncio.AbstractEventLoop, sockets: list[socket.socket], terminated: bool) -> None:
        """Boot, serve and end; BootError if the application cannot boot."""
        self._ending = ending = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self.terminate)
        loop.add_reader(self._pipe.fileno(), self._hear)
        try:
            if terminated:
                self.terminate()
            self._server = await self._service.boot(ending, lambda: self._pipe.send("started"))
            if self._server is not None:
                for sock in sockets:
                    self._server.listen(sock)
                self._thread.watch(self._server.in_flight)
                self._phase = Phase.WAITING
                self._pipe.send("ready")
            order = await ending
            self._phase = Phase.ENDING
            await self._service.end(order, lambda: self._pipe.send("draining"))
        finally:
            loop.remove_reader(self._pipe.fileno())
            loop.remove_signal_handler(signal.SIGTERM)  # back to the kernel's default, see above
        self._pipe.send("drained")

    def terminate(self) -> None:
        """SIGTERM."""
        if self._phase is Phase.SERVING:
            self.recycle("SIGTERM")
        elif self._phase is Phase.ENDING:
            self._service.cut_short()
        else:
            self._leave(Ending(0.0, final=False))

    def recycle(self, reason: str) -> None:
        """Ask once to be replaced, and serve on until told to drain."""
        if not self._asked_to_recycle:
            self._asked_to_recycle = self._pipe.send("recycle", {"reason": reason})

    def exit_attempted(self, error: BaseException) -> None:
        """Application code outside a request raised SystemExit or KeyboardInterrupt through the event loop."""
        self._log("application.exited", traceback=application_traceback(error))
        if self._phase is Phase.SERVING:
            self.recycle(f"the application raised {error!r}")
        elif self._phase is not Phase.ENDING and self._ending is not None and not self._ending.done():
            self._ending.set_exception(BootError("lifespan", application_traceback(error)))

    def _leave(self, ending: Ending) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ending)

    def _hear(self) -> None:
        try:
            for message in self._pipe.receive():
                self._obey(message)
        except MasterGone:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._orphaned()

    def _orphaned(self) -> None:
        if self._ending is None or self._ending.done():
            return  # the end is under way, and its budget holds
        timeout_s = self._spec.settings.graceful_timeout
        self._log("worker.orphaned", slot=self._spec.slot, pid=os.getpid(), timeout_s=timeout_s)
        # Final: whatever master comes next must be able to bind the address while this worker still finishes.
        self._leave(Ending(timeout_s, final=True))

    def _obey(self, message: Message) -> None:
        """Do what a message says. A verb of a newer master that this worker does not know is no reason to end it."""
        if message.verb == "drain":
            timeout_s = message.fields.get("timeout_s", self._spec.settings.graceful_timeout)
            self._leave(
                Ending(
                    float(timeout_s) if isinstance(timeout_s, (int, float)) else self._spec.settings.graceful_timeout,
                    final=message.fields.get("final") is True,
                )
            )
        elif self._server is None or self._phase is Phase.ENDING:
            return  # an order that crossed our own end
        elif message.verb == "serve":
            self._server.serve()
            self._phase = Phase.SERVING
        elif message.verb == "park":
            self._server.park()
            self._pipe.send("parked")
        elif message.verb == "reopen":
            self._server.reopen()


def _spec(pipe: Pipe) -> WorkerSpec:
    message = pipe.receive_one()
    if message.verb != "spec":
        raise ContractError(f"spec: must be the first message, not {message.verb}")
    try:
        return WorkerSpec.from_fields(message.fields)
    except (TypeError, KeyError) as error:
        raise ContractError(f"spec: {error}") from error


def _sockets(spec: WorkerSpec) -> list[socket.socket]:
    """The listeners, closed to programs that the application starts."""
    sockets: list[socket.socket] = []
    for listener in spec.listeners:
        try:
            sock = socket.socket(fileno=listener.fd)
        except OSError as error:
            raise ContractError(f"spec: listener {listener.address} is no socket, fd {listener.fd}: {error}") from error
        sock.set_inheritable(False)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def _let_stacks_be_told(spec: WorkerSpec) -> None:
    try:
        os.set_inheritable(spec.stacks_fd, False)
        os.set_inheritable(spec.scoreboard_fd, False)
    except OSError as error:
        raise ContractError(f"spec: no descriptor {spec.stacks_fd} or {spec.scoreboard_fd}: {error}") from error
    faulthandler.enable(file=2)  # a crash in C code: the stacks go where the log goes
    faulthandler.register(STACKS_SIGNAL, file=spec.stacks_fd, all_threads=True, chain=False)


def _second_thread(spec: WorkerSpec, pipe: Pipe, scoreboard: Scoreboard) -> ThreadBeat:
    """Started while every signal is still blocked: see ThreadBeat."""
    thread = ThreadBeat(
        scoreboard,
        pipe_fd=pipe.fileno(),
        beat_s=spec.beat_s,
        orphan_timeout_s=spec.settings.graceful_timeout + GIVE_UP_S,
    )
    thread.start()
    return thread


def _import(settings: ServerSettings, log: Log, signals: EarlySignals) -> Application | None:
    """The application; None if SIGTERM came meanwhile, which ends the import. Raises BootError."""
    try:
        signals.interrupts = True
        app = import_application(settings, log)
        signals.interrupts = False
    except (BootError, Terminated):
        if signals.terminated:
            return None
        raise
    return app


def work(spec: WorkerSpec, pipe: Pipe) -> None:
    """One worker's life; any ServerError means that it could not boot."""
    settings = spec.settings
    log = setup(
        form=settings.log_format,
        level=settings.log_level,
        table=EVENTS,
        bound={"slot": spec.slot, "generation": spec.generation},
    )
    _let_stacks_be_told(spec)
    sockets = _sockets(spec)
    _, factory = loops.choose(settings.loop)
    scoreboard = Scoreboard.shared(spec.scoreboard_fd, spec.slot)
    loads = Loads.shared(spec.scoreboard_fd, spec.slot, spec.beat_s) if settings.fair_accept else None
    thread = _second_thread(spec, pipe, scoreboard)
    signals = EarlySignals()
    signals.install()
    pipe.send("booted")
    os.environ["SUPERVISOR_D_SLOT"] = str(spec.slot)
    os.environ["SUPERVISOR_D_GENERATION"] = str(spec.generation)
    app = _import(settings, log, signals)
    if app is None:
        return
    worker: Worker | None = None

    def recycle(reason: str) -> None:
        if worker is not None:
            worker.recycle(reason)

    service = Service(
        app,
        settings,
        scoreboard,
        log=log,
        generation=spec.generation,
        beat_s=spec.beat_s,
        on_max_requests=recycle,
        loads=loads,
    )
    worker = Worker(spec, pipe, service, thread, log)
    loops.run(factory, lambda loop: worker.run(loop, sockets, signals.terminated), worker.exit_attempted)


def report_failure(pipe: Pipe, stage: str, text: str) -> None:
    """Tell the master why this worker could not boot; whoever reads standard error if there is no master."""
    kept = text[-TRACEBACK_LIMIT:]
    # JSON writes a character beyond ASCII as six; cut from the beginning until one message holds it.
    while len(encode("failed", {"stage": stage, "traceback": kept})) > MESSAGE_LIMIT:
        kept = kept[len(kept) // 4 :]
    if not pipe.send("failed", {"stage": stage, "traceback": kept}):
        with contextlib.suppress(OSError):  # standard error is gone, too
            os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))


def main(argv: list[str]) -> int:
    try:
        pipe = Pipe.from_descriptor(int(argv[1]))
    except (IndexError, ValueError, OSError):
        os.write(2, b"server_core.worker is started by a master; `python -m server_core APP` serves without one\n")
        return EXIT_USAGE
    del argv[1:]  # an application that looks at its arguments is given none
    try:
        work(_spec(pipe), pipe)
    except MasterGone:
        return EXIT_OK
    except BootError as error:
        report_failure(pipe, error.stage, error.report)
        return error.exit_code
    except ServerError as error:
        report_failure(pipe, "import" if isinstance(error, UsageError) else "spec", str(error))
        return BootError.exit_code
    finally:
        finish_streams()
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv))
