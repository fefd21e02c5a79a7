"""`run --reload`: the process that watches files, and a reload for each batch of saves that it tells. Host side.

It is started again if it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final

from server_core.contract.search import BEGIN
from supervisor_d import clock
from supervisor_d.host.processes.interpreter import interpreter_flags
from supervisor_d.host.processes.process_table import ProcessTable
from supervisor_d.host.reactor import READ, Reactor
from supervisor_d.log import Log
from supervisor_d.settings.application.location import Location
from supervisor_d.settings.declaration import DaemonSettings
from supervisor_d.vocabulary import Instant, Origin, Pid, ReloadRequested

AGAIN_S: Final = 1.0
"""Before it is started again. Chosen."""

NAMED_MAX: Final = 3
"""Files that are named as a reload's origin. Chosen: a line has room for them."""

READ_BYTES: Final = 65536


class Saves:
    """The watcher of one daemon's files."""

    def __init__(
        self, daemon: DaemonSettings, location: Location, reactor: Reactor, log: Log, children: ProcessTable
    ) -> None:
        self._location = location
        self._wanted = {
            "roots": [os.path.join(location.directory, each) for each in daemon.reload_dir] or [location.directory],
            "include": daemon.reload_include,
            "exclude": daemon.reload_exclude,
            "delay_s": daemon.reload_delay,
        }
        self._reactor = reactor
        self._log = log
        self._children = children
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._is_closed = False

    def open(self) -> None:
        """Start it; told and tried again if it cannot be."""
        if self._is_closed:
            return
        search = self._location.search
        command = [sys.executable, "-P", *interpreter_flags(), "-c", BEGIN, "supervisor_d.watcher"]
        try:
            self._process = process = subprocess.Popen(
                [*command, json.dumps(self._wanted)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **search.as_variable()},
            )
        except OSError as error:
            self._again(error.strerror or str(error))
            return
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._children.know(Pid(process.pid), lambda _: None)
        self._reactor.watch(process.stdout.fileno(), READ, lambda _: self._read())

    def close(self) -> None:
        """End it."""
        self._is_closed = True
        self._put_away()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        data = os.read(self._process.stdout.fileno(), READ_BYTES)
        if not data:
            self._put_away()
            self._again("it ended")
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._hear([os.path.relpath(path, self._location.directory) for path in json.loads(line)])

    def _hear(self, saved: list[str]) -> None:
        if saved:
            self._reactor.tell(ReloadRequested(Origin("save", ", ".join(saved[:NAMED_MAX]))))
        elif self._process is not None:
            self._log("watcher.started", pid=self._process.pid)

    def _again(self, reason: str) -> None:
        self._log("watcher.ended", reason=reason, retry_s=AGAIN_S)
        self._reactor.at(Instant(clock.now() + AGAIN_S), self.open)

    def _put_away(self) -> None:
        process, self._process, self._unread = self._process, None, b""
        if process is not None and process.stdin is not None and process.stdout is not None:
            self._reactor.forget(process.stdout.fileno())
            process.stdin.close()  # which ends it
            process.stdout.close()
            process.returncode = 0  # the process table reaps it
