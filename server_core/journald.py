"""Priorities for journald: a line that begins with <N> is kept with that priority (sd-daemon(3)).

The journal says whether standard error is a stream to it: JOURNAL_STREAM is the device and inode of the socket
(systemd.exec(5)). A descriptor that was redirected since is another file, and gets no prefixes. Where the unit has
SyslogLevelPrefix=no they would be part of the text: `UnsetEnvironment=JOURNAL_STREAM` takes them away.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

PRIORITIES: Final = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>"}
"""syslog(3): LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR."""


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
    return "\n".join(prefix + line for line in text.split("\n"))
