"""Priorities for journald: a line that begins with <N> is kept with that priority (sd-daemon(3)).

The journal says whether standard error is a stream to it: JOURNAL_STREAM is the device and inode of the socket
(systemd.exec(5)). A descriptor that was redirected since is another file, and gets no prefixes. Where the unit has
SyslogLevelPrefix=no they would be part of the text: `UnsetEnvironment=JOURNAL_STREAM` takes them away.

A line above LineMax= (journald.conf(5), 48 KiB) is cut by the journal, which looks for a prefix in each piece. So it is
cut here first, before a client's own words can come to stand at the beginning of a piece: with `<0>` there the journal
would write them to every terminal of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

PRIORITIES: Final = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>"}
"""syslog(3): LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR."""

LINE_MAX: Final = 40_000
"""Bytes of a line that the journal gets whole; chosen, below its own 48 KiB."""


def is_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether this descriptor is the stream to the journal that the environment names."""
    named = environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        told = os.fstat(fd)
    except OSError:  # EBADF
        return False
    return named == f"{told.st_dev}:{told.st_ino}"


def prioritised(text: str, level: str) -> str:
    """The text with its priority at each line: the journal takes every line for a message of its own."""
    prefix = PRIORITIES[level]
    return "\n".join(prefix + piece for line in text.split("\n") for piece in _pieces(line))


def _pieces(line: str) -> Iterator[str]:
    if len(line) * len(r"\udc80") <= LINE_MAX:  # as most are; that is the longest that a character can become
        yield line
        return
    data = line.encode("utf-8", "backslashreplace")
    while data:
        piece = data[:LINE_MAX].decode("utf-8", "ignore")  # a character that is cut goes to the next piece
        yield piece
        data = data[len(piece.encode()) :]
