"""What policy needs of the settings, as its own vocabulary: the one place where `auto` becomes a number."""

from __future__ import annotations

from supervisor_d.settings.capacity import usable_cpus
from supervisor_d.settings.declaration import AUTO, Settings
from supervisor_d.vocabulary import Terms

BEATS_PER_TIMEOUT = 4
"""Beats in one timeout; chosen: three may be late before a worker is suspected."""


def terms(settings: Settings, *, pid1: bool) -> Terms:
    """The policy's terms; `workers` is counted now if it is auto, `pid1` decides an exit-when-failed of auto."""
    daemon, server = settings.daemon, settings.server
    return Terms(
        workers=usable_cpus().count if daemon.workers == AUTO else daemon.workers,
        timeout=daemon.timeout,
        boot_timeout=daemon.boot_timeout,
        graceful_timeout=server.graceful_timeout,
        shutdown_delay=daemon.shutdown_delay,
        beat_s=min(1.0, daemon.timeout / BEATS_PER_TIMEOUT),
        soak=daemon.soak,
        surge=daemon.surge,
        park=daemon.park,
        max_age=daemon.max_age,
        max_memory=daemon.max_memory,
        exit_when_failed=pid1 if daemon.exit_when_failed == "auto" else daemon.exit_when_failed == "on",
    )
