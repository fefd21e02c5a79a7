"""ASGI lifespan as a state table: https://asgi.readthedocs.io/en/latest/specs/lifespan.html

Three rules:

 1. What happened (a Cause) moves the State along one table, and nothing else does. The rest of this module only finds
    causes, and acts upon the states it arrives at.
 2. A start-up that fails is a boot failure, never "serve anyway". The specification has a server go on after any
    exception, because that is how an application says that it does not know lifespan; here only one raised *before*
    the application took the `lifespan.startup` message says so. An application that took it, and then raised, knows
    lifespan and could not start.
 3. An application that answers the lifespan scope as if it were a request (it sends `http.response.start`), or
    returns without a word, does not know lifespan either: it goes on without, or is refused if lifespan is `on`.

Theory.  CALLED -> STARTING -> STARTED -> STOPPING -> STOPPED is the straight way. ABSENT and FAILED end a start-up,
SPOILED ends everything after it. The last four are final: what an application still does there moves nothing.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from typing import Final

from server_core.asgi.adapters import Application, AsgiMessage, Scope
from server_core.asgi.extensions import NOTHING
from server_core.errors import BootError, application_traceback
from server_core.log import Log
from server_core.runtime import own_tasks


class State(enum.Enum):
    CALLED = "called"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ABSENT = "absent"
    FAILED = "failed"
    SPOILED = "spoiled"


class Cause(enum.Enum):
    STARTUP_TAKEN = "lifespan.startup"
    SHUTDOWN_TAKEN = "lifespan.shutdown"
    STARTUP_COMPLETE = "lifespan.startup.complete"
    STARTUP_FAILED = "lifespan.startup.failed"
    SHUTDOWN_COMPLETE = "lifespan.shutdown.complete"
    SHUTDOWN_FAILED = "lifespan.shutdown.failed"
    FOREIGN = "a message of another protocol"
    RETURNED = "returned"
    RAISED = "raised"


SAID: Final[Mapping[object, Cause]] = {
    cause.value: cause
    for cause in (Cause.STARTUP_COMPLETE, Cause.STARTUP_FAILED, Cause.SHUTDOWN_COMPLETE, Cause.SHUTDOWN_FAILED)
}
"""What an application may say, by the message's type; every other type is FOREIGN."""

TABLE: Final[Mapping[State, Mapping[Cause, State]]] = {
    State.CALLED: {
        Cause.STARTUP_TAKEN: State.STARTING,
        Cause.STARTUP_COMPLETE: State.STARTED,
        Cause.STARTUP_FAILED: State.FAILED,
        Cause.FOREIGN: State.ABSENT,
        Cause.RETURNED: State.ABSENT,
        Cause.RAISED: State.ABSENT,
    },
    State.STARTING: {
        Cause.STARTUP_COMPLETE: State.STARTED,
        Cause.STARTUP_FAILED: State.FAILED,
        Cause.FOREIGN: State.ABSENT,
        Cause.RETURNED: State.ABSENT,
        Cause.RAISED: State.FAILED,
    },
    State.STARTED: {
        Cause.STARTUP_TAKEN: State.STARTED,  # it said complete first, and looks at what it was told afterwards
        Cause.SHUTDOWN_TAKEN: State.STOPPING,
        Cause.RETURNED: State.SPOILED,
        Cause.RAISED: State.SPOILED,
    },
    State.STOPPING: {
        Cause.SHUTDOWN_COMPLETE: State.STOPPED,
        Cause.SHUTDOWN_FAILED: State.SPOILED,
        Cause.RETURNED: State.STOPPED,
        Cause.RAISED: State.SPOILED,
    },
    State.STOPPED: {Cause.RETURNED: State.STOPPED, Cause.RAISED: State.STOPPED},
    State.ABSENT: {Cause.RETURNED: State.ABSENT, Cause.RAISED: State.ABSENT},
    State.FAILED: {Cause.RETURNED: State.FAILED, Cause.RAISED: State.FAILED},
    State.SPOILED: {Cause.RETURNED: State.SPOILED, Cause.RAISED: State.SPOILED},
}

FINAL: Final = frozenset((State.STOPPED, State.ABSENT, State.FAILED, State.SPOILED))

OUT_OF_PLACE: Final[Mapping[State, frozenset[Cause]]] = {
    state: frozenset(Cause) - row.keys() for state, row in TABLE.items()
}
"""Messages for which `send` raises RuntimeError; `receive` hands out no message that would be one of these."""

LINGER_S: Final = 1.0
"""How long the application may go on after its last word before it is cancelled. Chosen; no evidence."""


SHUTDOWN_ERROR_MAX: Final = 500
"""Characters of a failure that are told to the master; chosen: the log has all of it."""


class Lifespan:
    """One application's lifespan, from start-up to shutdown, in one task (context variables and task groups need it).

    `state` is what the application may fill at start-up and every request gets a copy of; what is in `extensions` is in
    it, too, for frameworks that show their applications nothing but the state. `mode` is auto, on or off.
    """

    def __init__(
        self, app: Application, mode: str, *, name: str, log: Log, extensions: Mapping[str, object] = NOTHING
    ) -> None:
        self.state: dict[str, object] = dict(extensions)
        self._extensions = dict(extensions)
        self.shutdown_error = ""
        """The last line of why the shutdown failed; empty if it did not."""
        self._app = app
        self._mode = mode
        self._name = name
        self._log = log
        self._at = State.CALLED
        self._report = ""
        self._dismissed = False
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._stop = asyncio.Event()
        self._startup_waits = True
        self._shutdown_waits = True

    @property
    def is_started(self) -> bool:
        """True if the application knows lifespan and is between start-up and shutdown."""
        return self._at is State.STARTED

    async def startup(self) -> None:
        """Return when the application has started, or does without lifespan; BootError if it could not start."""
        if self._mode == "off":
            return
        self._task = own_tasks.begin(self._run(), asyncio.get_running_loop())
        try:
            while self._at in (State.CALLED, State.STARTING):
                self._moved.clear()
                await self._moved.wait()
        except asyncio.CancelledError:
            await self._dismiss(0.0)
            raise
        if self._at in (State.ABSENT, State.FAILED):
            # Only a failure said without its reason may be explained by the exception that follows it.
            await self._dismiss(LINGER_S if self._at is State.FAILED else 0.0)
            self._judge()

    def _judge(self) -> None:
        if self._at is State.FAILED:
            raise BootError("lifespan", self._report or "the application sent lifespan.startup.failed, and no reason")
        if self._mode == "on":
            raise BootError(
                "lifespan",
                "lifespan is on, but the application does not support it"
                + (f":\n{self._report}" if self._report else " (it returned without an answer)"),
            )
        self._log("lifespan.unsupported", app=self._name)

    async def shutdown(self, timeout_s: float) -> None:
        """Let the application shut down within `timeout_s` seconds; failures are logged, never raised.

        If this is cancelled (no time is left after all), so is the application's shutdown.
        """
        if self._at is not State.STARTED:
            return
        self._stop.set()
        try:
            async with asyncio.timeout(timeout_s):
                while self._at not in FINAL:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            self._fail_shutdown(f"not complete within {timeout_s:g} s")
        except asyncio.CancelledError:
            self._fail_shutdown("cut short: terminated")
            await self._dismiss(0.0)
            raise
        await self._dismiss(min(timeout_s, LINGER_S) if self._at in FINAL else 0.0)

    async def _dismiss(self, linger_s: float) -> None:
        """Await the task's end for `linger_s`, then cancel it; one that resists is left behind, not waited for."""
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=linger_s)
        if not self._task.done():
            self._dismissed = True
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=LINGER_S)

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
            "extensions": self._extensions,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except BaseException as error:  # noqa: BLE001  # SystemExit, too, must not unwind the event loop
            if self._dismissed:
                return
            self._raised(error)
        else:
            self._advance(Cause.RETURNED)

    def _raised(self, error: BaseException) -> None:
        was = self._at
        if not self._report:
            self._report = application_traceback(error)
        self._advance(Cause.RAISED)
        if was in (State.STARTED, State.STOPPING):
            self._fail_shutdown(application_traceback(error))

    async def _receive(self) -> AsgiMessage:
        if self._startup_waits and self._at in (State.CALLED, State.STARTED):
            self._startup_waits = False
            self._advance(Cause.STARTUP_TAKEN)
            return {"type": "lifespan.startup"}
        await self._stop.wait()
        if self._shutdown_waits and self._at is State.STARTED:
            self._shutdown_waits = False
            self._advance(Cause.SHUTDOWN_TAKEN)
            return {"type": "lifespan.shutdown"}
        nothing_follows: asyncio.Future[AsgiMessage] = asyncio.get_running_loop().create_future()
        return await nothing_follows  # until it is cancelled

    async def _send(self, message: AsgiMessage) -> None:
        cause = SAID.get(message["type"], Cause.FOREIGN)
        was = self._at
        reason = str(message.get("message", ""))
        if cause is Cause.STARTUP_FAILED and reason:
            self._report = reason.rstrip("\n")
        self._advance(cause)
        if cause in OUT_OF_PLACE[was] or cause is Cause.FOREIGN:
            raise RuntimeError(f"{message['type']!r} has no place in lifespan state {was.value!r}")
        if cause is Cause.SHUTDOWN_FAILED:
            self._fail_shutdown(reason or "the application gave no reason")

    def _fail_shutdown(self, error: str) -> None:
        self._log("lifespan.shutdown_failed", error=error)
        self.shutdown_error = self.shutdown_error or error.strip().splitlines()[-1][:SHUTDOWN_ERROR_MAX]

    def _advance(self, cause: Cause) -> None:
        self._at = TABLE[self._at].get(cause, self._at)
        self._moved.set()
