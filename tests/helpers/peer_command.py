"""A daemon that is started by another server's command line, whose lines are in that server's form."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.daemon import DEADLINE_S, environment


class PeerCommand:
    """The process; its standard error and output are one stream, as on a terminal."""

    def __init__(self, process: subprocess.Popen[str], control: str) -> None:
        self.process = process
        self.control = control
        self.lines: list[str] = []

    def expect(self, pattern: str) -> re.Match[str]:
        """The first line from here on in which the pattern is found; AssertionError if the process ends before it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern!r} was not said within {DEADLINE_S} s:\n{''.join(self.lines)}")

    def wait(self) -> int:
        """The exit code; what it still says is among the lines."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout
        return self.process.wait()


@contextmanager
def peer_command(*words: str, directory: Path, env: Mapping[str, str] | None = None) -> Iterator[PeerCommand]:
    """`supervisor-d WORDS`, killed at the end or after the deadline, which only a failure meets."""
    control = f"@supervisor-d-test-{uuid.uuid4().hex[:12]}"
    with subprocess.Popen(
        [sys.executable, "-m", "supervisor_d", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env=environment({"SUPERVISOR_D_CONTROL_SOCKET": control, **(env or {})}),
        start_new_session=True,
    ) as process:
        deadline = threading.Timer(DEADLINE_S, process.kill)
        deadline.start()
        try:
            yield PeerCommand(process, control)
        finally:
            deadline.cancel()
            process.kill()
