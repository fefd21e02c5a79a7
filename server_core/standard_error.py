"""Descriptor 2 for the log: whole lines, and no wait for a reader that has stopped.

Others write there, too: workers, the application, whatever else has the same pipe. What poll(2) has just said of it
may be wrong by the time of write(2). Descriptor 2 itself is not ours to make non-blocking: O_NONBLOCK belongs to all
who share its open file description. So a pipe or a terminal is opened once more, by /proc/self/fd/2, which makes a
description of our own (proc_pid_fd(5)); to a socket each send(2) says MSG_DONTWAIT.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from typing import Final

PATIENCE_MS: Final = 50
"""How long one line waits for its reader; half of what a signal to the master may wait for (chosen)."""


class StderrLogger:
    """Writes whole lines to descriptor 2, and hardly waits for its reader: a full pipe must not stop a master.

    What cannot be written is lost and counted; log.setup() tells how much when there is room again. A line of up
    to PIPE_BUF bytes is one write(2), so that lines of several processes do not mix (pipe(7)).
    """

    def __init__(self) -> None:
        self.lost = 0
        self._is_cut = False
        self._room = select.poll()
        self._room.register(2, select.POLLOUT)
        self._opened: tuple[int, int] | None = None
        self._own = -1
        self._socket: socket.socket | None = None

    def has_room(self) -> bool:
        """True if PIPE_BUF bytes can probably be written; a terminal stopped by Ctrl-S takes none, either.

        A reader that is only slower than a burst gets a moment, once, until it has caught up.
        """
        return any(events & select.POLLOUT for _, events in self._room.poll(0 if self.lost else PATIENCE_MS))

    def msg(self, message: str) -> None:
        data = ("\n" * self._is_cut + message + "\n").encode("utf-8", "backslashreplace")
        self._is_cut = False
        try:
            while data and self.has_room():
                written = self._write(data[: select.PIPE_BUF])
                self._is_cut = True
                data = data[written:]
        except OSError:  # EPIPE, EBADF, EAGAIN, ENOSPC: the log's reader is gone, and there is no second one
            pass
        if data:
            self.lost += 1
        else:
            self._is_cut = False

    def _write(self, data: bytes) -> int:
        """Bytes that were taken; OSError, EAGAIN among them, if none were."""
        there = os.fstat(2)
        if self._opened != (there.st_dev, there.st_ino):  # at first, and when it was redirected since
            self._open(there)
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return os.write(2 if self._own < 0 else self._own, data)

    def _open(self, there: os.stat_result) -> None:
        """A description of our own, where there can be one; descriptor 2 itself otherwise."""
        self.close()
        self._opened = there.st_dev, there.st_ino
        try:
            if stat.S_ISSOCK(there.st_mode):
                self._socket = socket.socket(fileno=os.dup(2))
            elif stat.S_ISFIFO(there.st_mode) or stat.S_ISCHR(there.st_mode):
                self._own = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # another user's pipe, or no /proc: it is written to as it is
            self._own = -1

    def close(self) -> None:
        """Give back what was opened; descriptor 2 stays."""
        if self._socket is not None:
            self._socket.close()
        if self._own >= 0:
            os.close(self._own)
        self._socket, self._own, self._opened = None, -1, None
