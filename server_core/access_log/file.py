"""The access log's file: made for its owner and group alone, and never in another user's place of it.

In a directory that every user may write, such as /tmp, another user may have put a link or a file of the log's name.
Through the link our lines would go into a file of ours, and the file would show them to its owner. So there it must be
ours, or the directory's owner's. The kernel does the same with fs.protected_symlinks, protected_regular and
protected_fifos (sysctl), where those are on; that they are is not certain.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

MODE: Final = 0o640
"""Of a new file: lines tell clients' addresses and what they asked for. A file that is there keeps its own."""

FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
"""O_NONBLOCK: a named pipe without a reader is an error (ENXIO) instead of a worker that stands still."""


def open_for_append(path: str) -> int:
    """A descriptor of the file, made if need be. Raises OSError: EACCES if the place is another user's."""
    directory = os.path.dirname(path)
    parent = os.stat(directory or ".")
    if not parent.st_mode & stat.S_IWOTH:
        return os.open(path, FLAGS, MODE)
    try:
        opened = os.open(path, FLAGS | os.O_NOFOLLOW, MODE)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return os.open(os.path.join(directory, _target(path, parent)), FLAGS, MODE)
    if not _is_trusted(os.fstat(opened), parent):
        os.close(opened)
        raise _foreign(path)
    return opened


def _target(path: str, parent: os.stat_result) -> str:
    """Where the link leads; it is looked at once, so that it cannot be exchanged between the look and its use."""
    if not hasattr(os, "O_PATH"):  # not Linux: a link here is never followed
        raise _foreign(path)
    link = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _is_trusted(os.fstat(link), parent):
            raise _foreign(path)
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _is_trusted(found: os.stat_result, parent: os.stat_result) -> bool:
    return found.st_uid in (os.geteuid(), parent.st_uid)


def _foreign(path: str) -> OSError:
    return OSError(errno.EACCES, "another user's, in a directory that every user may write", path)
