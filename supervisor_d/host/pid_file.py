"""The file with the master's pid, for scripts and service managers that look for one. Host side.

It is written under another name and renamed, so that no reader sees half of it, while the directory's lock is held, so
that of two daemons that start at once one sees the other's. A symbolic link with the file's name is refused: in a
directory that others may write it would say which of our files is replaced. Nor is a file replaced that holds
something else than a pid.

A pid alone does not tell whether its process is the one that wrote the file. A process that began after the file was
written is another one, as after a restart of the machine or of a container.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from supervisor_d.errors import ConfigurationError
from supervisor_d.host.unix_sockets.directory_lock import locked
from supervisor_d.host.unix_sockets.exposure import opened
from supervisor_d.log import Log

SLACK_S: Final = 2.0
"""How much earlier than its process a file may seem to be: the kernel counts a process's start from boot, in ticks,
and the wall clock is corrected in between. Chosen."""

SIZE_MAX: Final = 64
"""Bytes that are read of a file: a pid has seven digits at most (proc(5), pid_max)."""

MODE: Final = 0o644


class PidFile:
    """One that was written, until it is removed."""

    def __init__(self, path: Path, written: os.stat_result) -> None:
        self._path = path
        self._written = written

    def close(self) -> None:
        """Remove it, if it is still the one that was written; what cannot be removed stays, and is stale then."""
        with contextlib.suppress(OSError), _locked(self._path) as folder:
            there = os.lstat(self._path.name, dir_fd=folder)
            if (there.st_dev, there.st_ino) == (self._written.st_dev, self._written.st_ino):
                os.unlink(self._path.name, dir_fd=folder)


def write(path: Path, source: str, log: Log) -> PidFile:
    """The file, written. `source` is where the setting came from. Raises ConfigurationError."""
    try:
        with _locked(path) as folder:
            _look(folder, path, log)
            return PidFile(path, _put(folder, path.name))
    except OSError as error:
        raise ConfigurationError(f"pid-file: cannot write {path}: {error.strerror or error} ({source})") from None
    except ValueError as error:
        raise ConfigurationError(f"pid-file: {path} {error} ({source})") from None


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """A descriptor of the file's directory, while no other daemon looks at it."""
    with opened(path.parent) as directory, locked(directory.fd):
        yield directory.fd


def _look(folder: int, path: Path, log: Log) -> None:
    """Say what is replaced; ValueError if it must not be."""
    try:
        fd = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError:
        if stat.S_ISLNK(os.lstat(path.name, dir_fd=folder).st_mode):
            raise ValueError("is a symbolic link, which is not followed; remove it, or name another file") from None
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is no regular file; name another one")
        text = os.read(fd, SIZE_MAX + 1).strip()
    finally:
        os.close(fd)
    if not text:
        return  # of a writer that was killed at it, or that made it before it knew
    if not text.isdigit() or len(text) > SIZE_MAX:
        raise ValueError("is there and holds no pid, so that it is not replaced; remove it, or name another file")
    pid = int(text)
    if pid != os.getpid() and _is_living(pid, found.st_mtime):
        raise ValueError(f"names process {pid}, which is running; stop it first, or name another file")
    log("pid_file.replaced", path=str(path), stale_pid=pid)


def _is_living(pid: int, written_at: float) -> bool:
    """Whether there is such a process, and it can have been there when the file was written."""
    import psutil  # here: it takes 10 ms to import, and few have a file to ask about

    try:
        process = psutil.Process(pid)
        is_over = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return not is_over and process.create_time() <= written_at + SLACK_S
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return False


def _put(folder: int, name: str) -> os.stat_result:
    """Our pid under this name; what the file is. Raises OSError."""
    draft = f".{name}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)  # of a daemon with our pid that was killed while it wrote
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE, dir_fd=folder)
    try:
        os.fchmod(fd, MODE)
        os.write(fd, f"{os.getpid()}\n".encode())
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        return os.fstat(fd)
    except OSError:
        os.unlink(draft, dir_fd=folder)
        raise
    finally:
        os.close(fd)
