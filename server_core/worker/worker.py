"""How a worker behaves in its event loop: told by pipe messages, signals, and the master's death.

What crosses the boundary, and in which order, is in contract/messages.py; the application is this side's alone. How a
worker can end, and what is still done then:

    drain, from the master      requests within their budget, lifespan shutdown, `drained`, exit 0
    hurry, from the master      the step of the end under way is given up: the requests first, then the lifespan's
    the master is gone          as drain, within graceful-timeout; the second thread ends what is blocked
    sys.exit() in a request     that request is answered 500 (exchange)
    sys.exit() elsewhere        serving: asks to be replaced; before: could not boot

SIGTERM has one meaning, "leave in good order", whoever sends it, and it never takes anything from a request:

    importing, starting up      the step is given up, what has begun is undone; exit 0
    ready, not yet serving      lifespan shutdown, exit 0
    serving, parked             asks the master to be replaced (recycle), and serves on until the master says drain
    ending                      nothing: it is leaving. A SIGTERM to the whole process group reaches the master, which
                                says drain, and the workers, in any order
    after `drained`             nothing: threads and atexit functions are all that is left (process.outlast_signals)

INT, QUIT, HUP, USR1, USR2, TTIN and TTOU are the master's, whom a terminal reaches by the same stroke: a worker forgets
them, in every phase. How in a hurry a stop is (INT twice, QUIT, the end of the budget) the master alone decides.
"""

from __future__ import annotations

import asyncio
import enum
import os
import signal
import socket
from functools import partial

from server_core.contract.messages import Message
from server_core.contract.spec import ListenerSpec, WorkerSpec
from server_core.errors import BootError, application_traceback, cause_of
from server_core.listen.listener_guard import ListenerGuard
from server_core.log import Log
from server_core.server.server import Server
from server_core.worker import exit as departure
from server_core.worker.control_pipe import MasterGone, Pipe
from server_core.worker.heartbeat import ThreadBeat
from server_core.worker.service import Ending, Service
from server_core.worker.stop_signals import Notice


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
        self._guard: ListenerGuard | None = None
        self._later: list[tuple[ListenerSpec, socket.socket]] = []
        """Listeners that were bound while this worker booted."""
        self._given_up: list[str] = []
        """Addresses of those that were given up meanwhile."""

    async def run(self, loop: asyncio.AbstractEventLoop, sockets: list[socket.socket], terminated: bool) -> None:
        """Boot, serve and end; BootError if the application cannot boot."""
        self._ending = ending = loop.create_future()
        notice = Notice(loop, {signal.SIGTERM: self.terminate}, self._service.draining, self._log)
        notice.install()
        loop.add_reader(self._pipe.fileno(), self._hear)
        try:
            if terminated:
                self.terminate()
            self._server = await self._service.boot(
                ending, lambda: self._pipe.send("started"), partial(self._beat, notice)
            )
            notice.take_back()
            if self._server is not None:
                for sock in sockets:
                    self._server.listen(sock)
                self._guard = ListenerGuard(self._spec.listeners, sockets, self._log)
                while self._given_up:
                    self._give_up(self._given_up.pop())
                while self._later:
                    self._listen(*self._later.pop(0))
                self._thread.watch(self._server.in_flight)
                self._phase = Phase.WAITING
                self._pipe.send("ready")
            order = await ending
            self._phase = Phase.ENDING
            notice.announce()
            await self._service.end(order, lambda: self._pipe.send("draining"), lambda: self._pipe.send("finished"))
        finally:
            loop.remove_reader(self._pipe.fileno())
            notice.close()
        error = self._service.shutdown_error
        self._pipe.send("drained", {"lifespan_error": error} if error else None)
        departure.watch(self._pipe, self._thread.native_id)

    def _beat(self, notice: Notice) -> None:
        """With each beat of the loop: what the application or another worker may have taken is taken back."""
        notice.take_back()
        if self._guard is not None and self._server is not None:
            self._guard.look(self._server.requests_total)
            self._guard.mend(self._server.poller.newly_watched())

    def terminate(self) -> None:
        """SIGTERM. What the master has said until now counts first: it may have said serve, and rely on it."""
        while self._hear():
            pass
        if self._phase is Phase.SERVING:
            self.recycle("SIGTERM to the worker itself")
        elif self._phase is not Phase.ENDING:
            self._leave(Ending(0.0, final=False))

    def recycle(self, reason: str) -> None:
        """Ask once to be replaced, and serve on until told to drain."""
        if not self._asked_to_recycle:
            self._asked_to_recycle = self._pipe.send("recycle", {"reason": reason})

    def exit_attempted(self, error: BaseException) -> None:
        """Application code outside a request stopped the event loop, or raised SystemExit or KeyboardInterrupt."""
        self._log("application.exited", error=cause_of(error), traceback=application_traceback(error))
        if self._phase is Phase.SERVING:
            self.recycle(cause_of(error))
        elif self._phase is not Phase.ENDING and self._ending is not None and not self._ending.done():
            self._ending.set_exception(BootError("lifespan", application_traceback(error)))

    def _take_on(self, message: Message) -> None:
        """Own the listener that came with the message."""
        fd, options = self._pipe.descriptor(), message.fields.get("options")
        if fd is None:
            if self._phase is Phase.SERVING:
                self.recycle("no descriptor was left for a listener that was bound anew")
            return
        known = {str(name): str(value) for name, value in options.items()} if isinstance(options, dict) else {}
        self._listen(ListenerSpec(fd, str(message.fields.get("address")), known), socket.socket(fileno=fd))

    def _listen(self, spec: ListenerSpec, sock: socket.socket) -> None:
        """Accept from it as from the others; those stay, since clients may wait in their queues."""
        if self._phase is Phase.ENDING:
            sock.close()
        elif self._server is None or self._guard is None:
            self._later.append((spec, sock))
        else:
            self._server.listen(sock)
            self._guard.add(spec, sock)

    def _give_up(self, address: str) -> None:
        """Close a listener that was shut down, so that its name is free."""
        self._later = [(spec, sock) for spec, sock in self._later if spec.address != address]
        if self._server is None or self._guard is None:
            self._given_up.append(address)
        elif self._phase is not Phase.ENDING:
            for sock in self._guard.give_up(address):
                self._server.listeners.give_up(sock)

    def _leave(self, ending: Ending) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ending)

    def _hear(self) -> bool:
        """Obey the next message, if one has come; whether another one may have."""
        try:
            messages = self._pipe.receive()
        except MasterGone:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._orphaned()
            return False
        for message in messages:
            self._obey(message)
        return bool(messages)

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
        elif message.verb == "hurry":
            self._service.cut_short()
        elif message.verb == "listen":
            self._take_on(message)
        elif message.verb == "unlisten":
            self._give_up(str(message.fields.get("address")))
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
