"""How a worker behaves in its event loop: told by pipe messages, signals, and the master's death.

What crosses the boundary, and in which order, is in contract.py; the application is this side's alone. How a worker
can end, and what is still done then:

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
import enum
import os
import signal
import socket

from server_core.contract import Message, WorkerSpec
from server_core.errors import BootError, application_traceback
from server_core.heartbeat import ThreadBeat
from server_core.log import Log
from server_core.pipe import MasterGone, Pipe
from server_core.server import Server
from server_core.service import Ending, Service


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
        error = self._service.shutdown_error
        self._pipe.send("drained", {"lifespan_error": error} if error else None)

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
