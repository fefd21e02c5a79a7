"""What policy needs of the settings, as its own vocabulary: the one place where `auto` becomes a number."""

from __future__ import annotations

import math

from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.values.capacity import usable_cpus
from supervisor_d.settings.values.value_types import AUTO, WORKERS_MAX
from supervisor_d.vocabulary import Terms

BEATS_PER_TIMEOUT = 4
"""Beats in one timeout; chosen: three may be late before a worker is suspected.

A worker's second thread looks at its loop's beats as often. After three looks at most it has noticed a silence, so that
the policy, which wants a sign of that thread within half of the timeout (liveness), never misses one.
"""

BEAT_MAX_S = 1.0

WATCH_MAX_S = 10.0
"""Under a long timeout; chosen: the requests in flight behind a blocked loop are this old in a dump asked for early."""


WORKERS_PER_CPU = 16
WORKERS_AT_LEAST = 32
"""What max-workers is by itself. Chosen: four times the most that is recommended for workers that block (2 to 4 for
each CPU, gunicorn's documentation), so that it stops a typo (50 for 5) and no deployment."""

BIRTHS_PER_CPU = 2
BIRTHS_MIN = 4
"""Workers that boot at once. An import computes, so that more for each CPU are all ready later; two, since a start-up
also waits (databases). Chosen: with 277 at once on two CPUs the master did not answer within 10 s."""


def most_workers(cpus: int) -> int:
    """max-workers, if it is auto."""
    return min(WORKERS_MAX, max(WORKERS_AT_LEAST, WORKERS_PER_CPU * cpus))


def terms(settings: Settings, *, pid1: bool, is_memory_limited: bool = False) -> Terms:
    """The policy's terms; `pid1` decides an exit-when-failed of auto.

    If `workers` is auto the CPUs are counted now; where memory is limited, too, and there is a choice, the policy
    finds out how many of those fit.
    """
    daemon, server = settings.daemon, settings.server
    cpus = usable_cpus().count
    workers = cpus if daemon.workers == AUTO else daemon.workers
    beat_s = (daemon.timeout or math.inf) / BEATS_PER_TIMEOUT
    return Terms(
        workers=workers,
        max_workers=max(workers, most_workers(cpus) if daemon.max_workers == AUTO else daemon.max_workers),
        births=max(BIRTHS_MIN, BIRTHS_PER_CPU * cpus),
        fit_memory=is_memory_limited and daemon.workers == AUTO and workers > 1,
        timeout=daemon.timeout,
        boot_timeout=daemon.boot_timeout,
        graceful_timeout=server.graceful_timeout,
        shutdown_delay=daemon.shutdown_delay,
        beat_s=min(BEAT_MAX_S, beat_s),
        watch_s=min(WATCH_MAX_S, beat_s),
        soak=daemon.soak,
        surge=daemon.surge,
        park=daemon.park,
        max_age=daemon.max_age,
        max_memory=daemon.max_memory,
        memory_limited=is_memory_limited,
        exit_when_failed=pid1 if daemon.exit_when_failed == "auto" else daemon.exit_when_failed == "on",
    )
