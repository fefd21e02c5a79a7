"""Tells when a socket's file may be gone from its path, by inotify(7): one that is well costs no wake-up. Host side.

A file can also be lost by what leads to it: a directory that is renamed, a symlink that leads elsewhere. Of these the
file's own inode knows nothing, so each of them is watched, too; for its own name only, so that the entries of /run and
/tmp wake no process. What is mounted over a directory is not noticed: no event tells of it. Elsewhere than on Linux
nothing is noticed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Final

from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.host.unix_sockets.unix_path import way_to
from supervisor_d.log import Log

IN_ATTRIB: Final = 0x4
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_DONT_FOLLOW: Final = 0x2000000
"""linux/inotify.h. An unlink(2) shows as IN_ATTRIB: the socket keeps its inode, which has one name less."""


class FileWatch:
    """Calls `changed` when a file that was added, or what leads to it, has changed: it may be of a mode alone."""

    def __init__(self, reactor: Reactor, log: Log, changed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._log = log
        self._changed = changed
        self._descriptor: int | None = None

    def add(self, path: str) -> None:
        """Watch this file, too; what cannot be noticed is logged."""
        if sys.platform != "linux":
            return
        self._add(path, "this socket file is removed")
        for place in way_to(path):
            self._add(place, "this is renamed, or leads elsewhere")

    def close(self) -> None:
        if self._descriptor is not None:
            self._reactor.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _add(self, path: str, change: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if self._descriptor is None:
            descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if descriptor < 0:  # EMFILE: too many instances of this user; a shutdown is noticed all the same
                self._miss(path, change)
                return
            self._descriptor = descriptor
            self._reactor.watch(descriptor, READ, self._look)
        events = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW
        if libc.inotify_add_watch(self._descriptor, os.fsencode(path), events) < 0:  # ENOSPC; ENOENT: it is gone
            self._miss(path, change)

    def _miss(self, path: str, change: str) -> None:
        reason = f"{path}: {os.strerror(ctypes.get_errno())}; it is not noticed if {change}"
        self._log("master.degraded", feature="inotify", reason=reason)

    def _look(self, _: int) -> None:
        assert self._descriptor is not None
        try:
            os.read(self._descriptor, 65536)
        except BlockingIOError:
            pass
        self._changed()
