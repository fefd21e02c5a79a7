"""How many descriptors there must be, and how many the master may spend on clients of its doors. Host side.

A worker's birth takes six for a moment (a pipe's two ends, its record, a pidfd, and subprocess's own pipe), a look into
/proc one. The kernel gives the lowest free number, so that the number of a new descriptor says how many are in use;
nothing has to be counted.
"""

from __future__ import annotations

import errno
import resource
from typing import Final

from supervisor_d.errors import ConfigurationError, HostError

LEAST: Final = 32
"""With fewer no daemon starts. Measured: a worker with uvloop has 22, its template 10, a master with two workers 19."""

EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE))
RESERVE_MAX: Final = 64
"""Kept for the master's own work where there are many. Chosen: several births at once."""

RESERVE_SHARE: Final = 4
"""Where there are few, one in so many is kept. Chosen: 16 of the smallest limit that is usual, 64."""


def is_scarce(fd: int) -> bool:
    """Whether this new descriptor is one of those that are kept for the master's own work (RLIMIT_NOFILE)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return False
    return fd >= limit - min(RESERVE_MAX, limit // RESERVE_SHARE)


def refuse_few() -> None:
    """Raise ConfigurationError if the limit is too low for any daemon: what fails then fails without a word of why."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < LEAST:
        raise ConfigurationError(
            f"the limit of open files is {limit} (ulimit -n, RLIMIT_NOFILE, LimitNOFILE= of systemd); at least {LEAST} "
            "are needed, and one more for each connection"
        )


def exhausted(error: OSError) -> HostError:
    """The error for an operator whose daemon found no descriptor where it could not go on without one."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    whose = f"the limit of open files is {limit} (ulimit -n)" if error.errno == errno.EMFILE else "the machine's limit"
    return HostError(f"no descriptor was left to start the daemon: {error.strerror}; {whose}; raise it")
