"""The access log: one line an exchange, formatted from fields already at hand, collected, written in batches.

A line is appended to a list; the sweep, a full batch and the drain write. No line is cut in two and none can be
forged: of what a client sends only visible ASCII gets here unescaped, and not the quote.
"""

from __future__ import annotations

import os
import time
from typing import Final

from server_core.log import Log

BATCH_BYTES: Final = 65536
"""Lines are written when they reach this size, and each sweep. Chosen; no evidence: one write(2) per 600 lines."""


class AccessLog:
    """Lines for a path, or - for standard output."""

    def __init__(self, path: str, log: Log) -> None:
        self._path = path
        self._log = log
        self._lines: list[str] = []
        self._bytes = 0
        self._failed = False
        self._fd = -1
        self._clock = ""
        self.renew_clock()
        self._open()

    def record(
        self, client: str, method: str, target: str, version: str, status: int, sent_bytes: int, duration_s: float
    ) -> None:
        """Collect one line; `duration_s` is in seconds and written in milliseconds."""
        if '"' in target or "\\" in target:
            target = target.replace("\\", "\\\\").replace('"', '\\"')
        request = f"{method} {target} HTTP/{version}"
        line = f'{client} - - [{self._clock}] "{request}" {status} {sent_bytes} {duration_s * 1e3:.3f}\n'
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= BATCH_BYTES:
            self.flush()

    def renew_clock(self) -> None:
        """Take the time that the next lines carry, to the second and with its offset, whatever the locale."""
        now = time.localtime()
        offset = time.strftime("%z", now)
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[now.tm_mon - 1]
        self._clock = time.strftime(f"%d/{month}/%Y:%H:%M:%S ", now) + offset

    def flush(self) -> None:
        """Write what is collected. A failure is logged once, and its lines are lost: requests go on."""
        if not self._lines:
            return
        data = "".join(self._lines).encode("ascii", "backslashreplace")
        self._lines.clear()
        self._bytes = 0
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            self._failed = False
        except OSError as error:  # ENOSPC, EPIPE, EBADF, EAGAIN: an access log must not stop the service
            self._fail(error)

    def reopen(self) -> None:
        """Write what is collected to the old file, then open the path anew."""
        self.flush()
        self._close()
        self._open()

    def close(self) -> None:
        self.flush()
        self._close()

    def _open(self) -> None:
        if self._path == "-":
            self._fd = 1
            return
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._fail(error)

    def _close(self) -> None:
        if self._fd > 2:
            os.close(self._fd)
        self._fd = -1

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._log("access_log.failed", path=self._path, error=str(error))
