"""Threads that have run one request for long: told in the log once, with what the thread is in, and the whole pool.

They are not ended, which Python cannot do, nor is the worker: the others go on, and request-timeout answers the client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server_core.asgi.call import Call
from server_core.log import Log
from server_core.runtime import stacks
from server_core.wsgi.threads import Job, Pool

STUCK_S: Final = 30.0
"""How long one request may run before it is told. Precedent: gunicorn's timeout."""


class StuckThreads:
    """Looks at one pool. `facts` says of a call what the log says of requests."""

    __slots__ = ("_facts", "_log", "_pool", "_stuck_s", "_told")

    def __init__(
        self, pool: Pool, log: Log, facts: Callable[[Call], dict[str, object]], stuck_s: float = STUCK_S
    ) -> None:
        self._pool = pool
        self._log = log
        self._facts = facts
        self._stuck_s = stuck_s
        self._told: set[Job] = set()

    def look(self, now: float) -> None:
        """Tell of the requests that have passed the time since the last look."""
        running = sorted(self._pool.running.copy().items(), key=lambda entry: entry[1][0])
        if not running or now - running[0][1][0] < self._stuck_s:
            self._told.clear()
            return
        late = {job for _, (since, job) in running if now - since >= self._stuck_s}
        self._told &= late
        if late <= self._told:
            return
        found = stacks.of_threads()
        oldest_s = round(now - running[0][1][0], 3)
        for thread, (since, job) in running:
            if job in late and job not in self._told:
                stack = found.get(thread)
                self._log(
                    "thread.stuck",
                    **(self._facts(job) if isinstance(job, Call) else {}),
                    duration_s=round(now - since, 3),
                    busy=len(running),
                    threads=self._pool.size,
                    queued=self._pool.queued,
                    oldest_s=oldest_s,
                    stack="".join(stack.format()) if stack is not None else "",
                )
        self._told |= late
