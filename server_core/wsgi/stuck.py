"""Threads that have run one request for long: each is logged once; all of them, with the pool, are sent to the master.

They are not ended, which Python cannot do, nor is the worker: the others go on, and request-timeout answers the client.
"""

from __future__ import annotations

import math
import sysconfig
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from traceback import FrameSummary, StackSummary
from typing import Final, NamedTuple

from server_core.asgi.call import Call
from server_core.contract.messages import TRACEBACK_LIMIT
from server_core.log import Log
from server_core.runtime import stacks
from server_core.wsgi.served import Alarm, Stuck
from server_core.wsgi.threads import Job, Pool

_OTHERS: Final = tuple(
    f"{path}/" for path in sorted({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
)
_OURS: Final = f"{Path(__file__).parents[1]}/"


class Late(NamedTuple):
    """A thread that has run one request for longer than the limit."""

    thread: int
    for_s: float
    job: Job


class StuckThreads:
    """Looks at one pool. `facts` says of a call what the log says of requests.

    A thread is logged as soon as it is late. The master keeps the last hundred incidents of all workers, so at
    most one is sent in each interval of the limit, with all threads that are late by then.
    """

    __slots__ = ("_alarm", "_facts", "_log", "_logged", "_told", "_told_at", "pool")

    def __init__(self, pool: Pool, log: Log, facts: Callable[[Call], dict[str, object]], alarm: Alarm) -> None:
        self.pool = pool
        self._log = log
        self._facts = facts
        self._alarm = alarm
        self._logged: set[Job] = set()
        self._told: set[Job] = set()
        self._told_at = -math.inf

    def look(self, now: float) -> None:
        """Tell of the requests that have passed the limit since the last look."""
        limit_s = self._alarm.limit_s
        running = sorted(
            (Late(thread, now - since, job) for thread, (since, job) in self.pool.running.copy().items()),
            key=attrgetter("for_s"),
            reverse=True,
        )
        late = [entry for entry in running if entry.for_s >= limit_s > 0]
        jobs = {entry.job for entry in late}
        self._logged &= jobs
        self._told &= jobs
        is_due = not jobs <= self._told and now - self._told_at >= limit_s
        if jobs <= self._logged and not is_due:
            return
        found = stacks.of_threads()
        calls = {entry.thread: found.get(entry.thread, StackSummary()) for entry in late}
        texts = {thread: "".join(found.format()) for thread, found in calls.items()}
        told = [f"Thread, {entry.for_s:.0f} s:\n{texts[entry.thread]}" for entry in late]
        state = Stuck(
            len(running),
            self.pool.size,
            self.pool.queued,
            round(late[0].for_s, 3),
            _where(calls[late[0].thread]),
            "\n".join(told)[:TRACEBACK_LIMIT],
        )
        for entry in late:
            if entry.job not in self._logged:
                self._log_one(entry, state, texts[entry.thread])
        self._logged |= jobs
        if is_due and self._alarm.tell(state):
            self._told, self._told_at = jobs, now

    def _log_one(self, late: Late, state: Stuck, stack: str) -> None:
        self._log(
            "thread.stuck",
            **(self._facts(late.job) if isinstance(late.job, Call) else {}),
            duration_s=round(late.for_s, 3),
            busy=state.busy,
            threads=state.threads,
            queued=state.queued,
            oldest_s=state.oldest_s,
            stack=stack,
        )


def _where(calls: StackSummary) -> str:
    """The innermost call that is the application's own, as `views.py:12 in report`; any, if none is."""
    own = [call for call in calls if not call.filename.startswith((*_OTHERS, _OURS, "<"))]
    innermost = (own or list(calls))[-1:]
    return _named(innermost[0]) if innermost else ""


def _named(call: FrameSummary) -> str:
    path = Path(call.filename)
    return f"{path.parent.name}/{path.name}:{call.lineno} in {call.name}"
