"""Reports to a supervisor that the daemon is ready, as s6 has it: a newline on a descriptor that it opened, once. Host
side.

s6-supervise(8) and dinit open a pipe, name its descriptor (`notification-fd`, `ready-notification`), and wait for a
newline; what is closed without one was never ready. A number that the supervisor did not open may be one of our own
files, which close at execve(2): what has come through one does not.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
from collections.abc import Callable

from supervisor_d.errors import ConfigurationError


class ReadyDescriptor:
    """The descriptor, until it is used or closed; `report` is called with what went wrong."""

    def __init__(self, number: int, report: Callable[[str], object]) -> None:
        self._number: int | None = number
        self._report = report
        os.set_inheritable(number, False)

    def tell(self) -> None:
        """Write the newline and close; no effect after the first time. A full pipe is not waited for."""
        if self._number is None:
            return
        room = select.poll()
        room.register(self._number, select.POLLOUT)
        try:
            if room.poll(0):
                os.write(self._number, b"\n")
            else:
                self._report("its pipe is full, and is not read")
        except OSError as error:  # EPIPE: its reader is gone
            self._report(str(error.strerror))
        self.close()

    def close(self) -> None:
        """Without a newline, if none was written: the supervisor reads the end of the pipe then."""
        number, self._number = self._number, None
        if number is not None:
            os.close(number)


def take(number: int, source: str, report: Callable[[str], object]) -> ReadyDescriptor | None:
    """The descriptor of this number, None for 0 (off). Raises ConfigurationError if it cannot be written to."""
    if not number:
        return None
    problem = _problem(number)
    if problem is not None:
        raise ConfigurationError(f"ready-fd: {problem} (from {source})")
    return ReadyDescriptor(number, report)


def _problem(number: int) -> str | None:
    try:
        mode, flags = os.fstat(number).st_mode, fcntl.fcntl(number, fcntl.F_GETFL)
    except OSError:  # EBADF
        return f"must be open for writing, and descriptor {number} is not; s6 opens what `notification-fd` names"
    if not os.get_inheritable(number):
        return f"must have been passed to this process, and descriptor {number} is a file of our own"
    if flags & os.O_ACCMODE == os.O_RDONLY:
        return f"must be open for writing, and descriptor {number} is open for reading only"
    if stat.S_ISSOCK(mode) and _listens(number):
        return f"must be a pipe to the supervisor, and descriptor {number} is a listening socket"
    return None


def _listens(number: int) -> bool:
    with socket.socket(fileno=os.dup(number)) as sock:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
