"""Where the lines of an access log go: a file, standard output or standard error, in batches and never waiting long.

Several workers write to one place. A file is opened with O_APPEND, so that a write of whole lines lands as it is,
behind everybody else's (write(2)). A pipe keeps writes together only up to PIPE_BUF (pipe(7)), so that it gets as many
whole lines at a time as fit into that. What cannot be written now is kept, within a bound, and tried again at the
next flush; what is over the bound is lost, and counted.

In the journal each line begins with the priority of information: a format may begin with what a client sent, and the
journal would believe a priority there (server_core.journald).
"""

from __future__ import annotations

import os
import select
import stat
from typing import Final

from server_core.access_log.file import open_for_append
from server_core.journald import is_journal, prioritised
from server_core.log import Log

BATCH_LINES: Final = 128
"""Lines are written when there are so many, and at each sweep; counting takes less than adding up their lengths. So few
that a batch of 1 KB each stays under 128 KiB, from where malloc(3) asks the kernel for fresh pages each time
(M_MMAP_THRESHOLD): 512 lines of JSON cost a quarter of a microsecond more each (python -m tests.bench.access_log)."""

KEPT_BYTES: Final = 1 << 20
"""Most that is kept of what cannot be written. Chosen; no evidence: 10,000 lines."""

LAST_WAIT_MS: Final = 50
"""How long a reader of standard output is waited for at the end. As in server_core.log (chosen)."""

STREAMS: Final = {"stderr": 2, "-": 1}


class Sink:
    """Takes lines for a path, `-` (standard output) or `stderr`."""

    def __init__(self, target: str, log: Log) -> None:
        self._target = target
        self._log = log
        self.lines: list[str] = []
        """Collected, newlines included."""
        self._kept = b""
        """Whole lines that could not be written."""
        self._is_torn = False
        """Whether a line was written in part, so that the next one has to begin a line of its own."""
        self._has_failed = False
        self._lost = 0
        self._fd = -1
        self._is_journal = False
        self._open()

    def add(self, line: str) -> None:
        """Collect a line, newline included."""
        lines = self.lines
        lines.append(line)
        if len(lines) >= self.batch_lines:
            self.flush()

    def flush(self) -> None:
        """Write what is collected, as far as it can be written without waiting."""
        if self.lines or self._kept:
            text = "".join(self.lines)
            if self._is_journal and text:
                text = prioritised(text[:-1], "info") + "\n"
            data = self._kept + text.encode("utf-8", "backslashreplace")
            self.lines.clear()
            self._keep(self._write(data))

    def reopen(self) -> None:
        """Write what is collected to the old file, then open the path anew."""
        self.flush()
        self._close()
        self._open()

    def close(self) -> None:
        """Write what is collected, and wait a moment for a reader. What cannot be written then is lost."""
        if self._waits and (self.lines or self._kept):
            self._room.poll(LAST_WAIT_MS)
        self.flush()
        self._lose(self._kept)
        self._kept = b""
        self._tell_lost()
        self._close()

    def _open(self) -> None:
        """Find or open the descriptor; a failure is told, and tried again at each flush."""
        self._waits = False
        self.batch_lines = BATCH_LINES
        try:
            self._fd = self._descriptor()
            mode = os.fstat(self._fd).st_mode
        except OSError as error:
            self._fail(error)
            return
        if not stat.S_ISREG(mode):
            self._waits = True
            self._room = select.poll()
            self._room.register(self._fd, select.POLLOUT)
            self._is_journal = is_journal(self._fd, os.environ)
            if os.isatty(self._fd):
                self.batch_lines = 1  # somebody is looking

    def _descriptor(self) -> int:
        if self._target in STREAMS:
            return STREAMS[self._target]
        return open_for_append(self._target)

    def _close(self) -> None:
        if self._target not in STREAMS and self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _write(self, data: bytes) -> bytes:
        """Write whole lines; those that could not be written come back."""
        if self._fd < 0:
            self._open()
            if self._fd < 0:
                return data
        try:
            while data:
                if self._waits and not self._room.poll(0):
                    return data
                data = self._after(data, os.write(self._fd, (b"\n" if self._is_torn else b"") + self._portion(data)))
        except BlockingIOError:  # a full pipe that does not block: the same as no room
            return data
        except OSError as error:  # ENOSPC, EDQUOT, EPIPE, EBADF: an access log must not stop the service
            self._fail(error)
            return data
        self._has_failed = False
        self._tell_lost()
        return b""

    def _portion(self, data: bytes) -> bytes:
        """What to write at once: all, or as many whole lines as a pipe keeps together, but one at least."""
        if not self._waits:
            return data
        end = data.rfind(b"\n", 0, select.PIPE_BUF - 1) + 1 or data.find(b"\n") + 1
        return data[:end]

    def _after(self, data: bytes, written: int) -> bytes:
        """The lines behind what was written; the end of one that was written in part is lost."""
        if self._is_torn and written:
            self._is_torn = False
            written -= 1
        if written and data[written - 1 : written] != b"\n":
            self._is_torn = True
            self._lost += 1
            written = data.find(b"\n", written) + 1
        return data[written:]

    def _keep(self, rest: bytes) -> None:
        """Keep the oldest lines within the bound, so that what is there stays without a gap."""
        if len(rest) > KEPT_BYTES:
            end = rest.rfind(b"\n", 0, KEPT_BYTES) + 1
            self._lose(rest[end:])
            rest = rest[:end]
        self._kept = rest

    def _lose(self, lines: bytes) -> None:
        self._lost += lines.count(b"\n")

    def _fail(self, error: OSError) -> None:
        """Told once, until something could be written again."""
        if not self._has_failed:
            self._has_failed = True
            self._log("access_log.failed", path=self._target, error=str(error))

    def _tell_lost(self) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            self._log("access_log.lost", path=self._target, lines=lost)
