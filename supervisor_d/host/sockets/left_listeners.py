"""Has workers that a master left behind, and that hang, let go of an address. Host side.

A worker without a master closes its listeners within a turn of its event loop. One whose loop is blocked, which is
stopped, or in an uninterruptible sleep, does so when its second thread ends it, graceful-timeout later, or never. So
its listener is shut down from here, with a copy of its descriptor (pidfd_getfd(2)): that costs it nothing but the
clients in its accept queue, which no other worker would serve either. Where that is not allowed, since it takes the
right to trace the worker (ptrace(2)), and for an abstract name, it has its time to end, and is killed then.

Only those are touched who hold a socket that our user has made (the owner of its inode), whatever user they are
themselves: workers may have another than their master. Any user's process could have their command line. Rejected: to
take the socket over with its queue, because the worker holds it as well, and accepts from it once it goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import socket
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from supervisor_d.host.unix_sockets.socket_holder import PROCESSES

PIDFD_GETFD: Final = 438
"""Its number on all architectures but alpha (asm-generic/unistd.h)."""


def shut_down(pids: Iterable[int], targets: Collection[str]) -> bool:
    """Shut down the listeners of these processes that are one of `targets` ("socket:[inode]"); whether one was."""
    done = False
    for pid in pids:
        for descriptor in tuple(_copies(pid, targets)):
            with socket.socket(fileno=descriptor) as listener:
                if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    listener.shutdown(socket.SHUT_RDWR)
                    done = True
    return done


def kill(pids: Iterable[int], targets: Collection[str]) -> tuple[int, ...]:
    """Send SIGKILL to those that hold one of `targets`; whom it was sent to."""
    killed = []
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended, or we may not
            if _made_by_us(pid, targets):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    return tuple(killed)


def _made_by_us(pid: int, targets: Collection[str]) -> list[int]:
    """Its descriptors that are one of `targets`, and made by our user. Raises OSError if it may not be looked at."""
    place = PROCESSES / str(pid) / "fd"
    found = []
    for entry in os.listdir(place):
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.readlink(place / entry) in targets and os.stat(place / entry).st_uid == os.geteuid():
                found.append(int(entry))
    return found


def _copies(pid: int, targets: Collection[str]) -> Iterator[int]:
    """A copy of each of its descriptors that is one of `targets`, for the caller to close; none where not allowed."""
    try:
        process = os.pidfd_open(pid)
    except OSError:  # it has ended
        return
    try:
        for number in _made_by_us(pid, targets):
            yield _copy(process, number)
    except OSError:  # EPERM, EACCES, or it has ended
        return
    finally:
        os.close(process)


def _copy(process: int, number: int) -> int:
    """Raises OSError: EPERM without the right to trace it, ENOSYS before Linux 5.6 and elsewhere."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    copied = int(libc.syscall(PIDFD_GETFD, process, number, 0))
    if copied < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return copied
