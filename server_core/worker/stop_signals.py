"""How SIGTERM reaches a process that serves, and how the application hears that its worker drains.

The signal handler is a plain one of Python's. The loop's own kind (add_signal_handler) was rejected: to remove it is to
fall back to the kernel's default for a moment, and a SIGTERM to the whole process group would kill a worker in that
moment, which had lost nothing until then. What that kind does besides is done here: a wake-up descriptor
(signal.set_wakeup_fd), since a signal that comes right before the loop waits would be heard when it wakes up the next
time. uvloop has one of its own, which is left alone.

Applications hear of a drain in four ways, because libraries wait in so many:

    extensions, state      draining.Draining: is_set(), and awaitable
    signal.signal()        what the application has installed for SIGTERM (or, where it has none for that, SIGINT), at
                           its import, in its start-up or later, is called as if the signal had come
    add_signal_handler()   the same, by the loop: the signal is raised
    uvicorn                libraries look for `should_exit` at the owner of the SIGTERM handler (sse-starlette), which
                           is the Notice, or replace uvicorn.Server.handle_exit, which is called if they did

None of them stops the worker: SystemExit and KeyboardInterrupt ask for what is being done, other errors are logged.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from types import FrameType

from server_core.asgi.draining import Draining
from server_core.errors import application_traceback
from server_core.log import Log
from server_core.runtime.early_signals import is_ours

Handler = Callable[[int, FrameType | None], object]


class Notice:
    """The process's handler for SIGTERM and SIGINT from install() to close().

    `heeds` says what the loop is to call for each of the two; a signal without an entry is caught and forgotten.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        heeds: Mapping[signal.Signals, Callable[[], object]],
        draining: Draining,
        log: Log,
    ) -> None:
        self.should_exit = False
        """What uvicorn's Server calls it: libraries look for the name."""
        self.force_exit = False
        self._captured_signals: list[int] = []  # a handle_exit() of uvicorn's appends to it, and assigns force_exit
        self._draining = draining
        self._loop: asyncio.AbstractEventLoop | None = loop
        self._heeds = heeds
        self._log = log
        self._context = contextvars.copy_context()
        self._found: dict[int, Handler] = {}
        self._wake: tuple[socket.socket, socket.socket] | None = None

    def install(self) -> None:
        """Take both signals, and let the loop wake up for them."""
        self.take_back()

    def take_back(self) -> None:
        """Be the handler again where the application has installed one, which is kept to be called in a drain.

        To be called about once a second, too: a request may install a handler, and remove_signal_handler() leaves the
        kernel's default, with which the next SIGTERM to the process group would kill the process. It also removes the
        wake-up descriptor. Until it is back, a signal may be heard as late as the loop's next beat, a second; it is
        not lost.
        """
        self._take_handlers()
        if self._loop is not None:
            self._take_wake_up(self._loop)

    def _take_wake_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have a wake-up descriptor, unless there is one: the loop's own, or the application's."""
        before = signal.set_wakeup_fd(-1)
        if before != -1:
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)
            return
        if self._wake is None:
            self._wake = socket.socketpair()
            for end in self._wake:
                end.setblocking(False)
            loop.add_reader(self._wake[0], self._wake[0].recv, 4096)
        signal.set_wakeup_fd(self._wake[1].fileno(), warn_on_full_buffer=False)

    def _take_handlers(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler) and not (self._is_mine(handler) or is_ours(handler)):
                self._found[number] = handler
            if not self._is_mine(handler):
                signal.signal(number, self.handle_exit)
                signal.siginterrupt(number, False)  # as loops do: system calls of C libraries are restarted

    def _is_mine(self, handler: object) -> bool:
        return getattr(handler, "__self__", None) is self

    def handle_exit(self, number: int, _frame: FrameType | None) -> None:
        """A signal has come."""
        heed = self._heeds.get(signal.Signals(number))
        if heed is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(heed, context=self._context)

    def announce(self) -> None:
        """Tell the application that its worker drains. Idempotent."""
        if self.should_exit:
            return
        self.take_back()
        self.should_exit = True
        self._draining.begin()
        number = signal.SIGINT if signal.SIGTERM not in self._found else signal.SIGTERM
        if number in self._found:
            self._call(self._found[number], number)
        self._call_uvicorn()
        signal.raise_signal(signal.SIGTERM)  # for add_signal_handler(), which hears of it through the descriptor

    def _call_uvicorn(self) -> None:
        uvicorn = sys.modules.get("uvicorn.server")
        handle_exit = getattr(getattr(uvicorn, "Server", None), "handle_exit", None)
        if handle_exit is not None and getattr(handle_exit, "__module__", "uvicorn.server") != "uvicorn.server":
            self._call(lambda number, frame: handle_exit(self, number, frame), signal.SIGTERM)

    def _call(self, handler: Handler, number: int) -> None:
        try:
            handler(number, None)
        except (SystemExit, KeyboardInterrupt):
            return  # "leave": which is what is being done
        except BaseException as error:  # noqa: BLE001 - whatever it is, the drain goes on
            name = signal.Signals(number).name
            self._log("application.signal_failed", signal=name, traceback=application_traceback(error))

    def close(self) -> None:
        """Forget both signals from now on: whoever serves no more has nothing to be told."""
        self._take_handlers()
        loop, self._loop = self._loop, None
        if self._wake is not None and loop is not None:
            reading, writing = self._wake
            if (now := signal.set_wakeup_fd(-1)) not in (-1, writing.fileno()):
                signal.set_wakeup_fd(now, warn_on_full_buffer=False)
            loop.remove_reader(reading)
            reading.close()
            writing.close()
            self._wake = None
