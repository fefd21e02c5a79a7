"""What one look into an accept queue came to, and what the kernel's refusals mean (accept(2)). No I/O."""

from __future__ import annotations

import enum
import errno
from typing import Final

_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_GONE: Final = frozenset(
    (
        *(errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN),
        *(errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH),
    )
)
"""accept(2): "network errors on the new socket as an error code from accept()", to be taken as a reason to look again.
EPERM is a firewall's."""


class Taken(enum.Enum):
    """What one look into a queue came to."""

    ONE = "taken"
    GONE = "a client that has gone"
    NO_CLIENT = "no client to accept"
    NO_DESCRIPTOR = "a client, but no descriptor"
    SHUT_DOWN = "it does not listen"


def outcome_of(error: OSError) -> Taken:
    """What an accept(2) that failed came to. EAGAIN: another worker was faster."""
    if error.errno in _EXHAUSTED:
        return Taken.NO_DESCRIPTOR
    if error.errno == errno.EINVAL:  # shut down, by the master or by another process that holds the listener
        return Taken.SHUT_DOWN
    return Taken.GONE if error.errno in _GONE else Taken.NO_CLIENT
