"""A server under test: its processes, what they have used, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TICK: Final = os.sysconf("SC_CLK_TCK")
START_S: Final = 30.0


class Failed(Exception):
    """A server that does not do what it should; its row says so."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class ProcessTree:
    """A server and all its descendants; in a session of its own, so that all can be ended."""

    def __init__(
        self, command: Sequence[str], port: int, *, core: int | None, output: Path, root: Path = ROOT, **more: str
    ) -> None:
        pinned = ["taskset", "-c", str(core), *command] if core is not None else list(command)
        environment = dict(os.environ, PYTHONPATH=str(root), **more)
        self.port = port
        self.output = output
        self.began_at = time.monotonic()
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                pinned,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=root,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def pids(self) -> list[int]:
        """The root first, and every descendant that lives."""
        found = [self._process.pid]
        for pid in found:
            with contextlib.suppress(OSError):  # gone meanwhile
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu_s(self) -> float:
        """User and system time of the tree so far, of descendants that ended, too, where they were waited for."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += sum(int(field) for field in fields[11:15])
        return total / TICK

    def pss_bytes(self) -> int:
        """Proportional set size of the tree."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_listening(self) -> None:
        """Failed if it does not accept within half a minute."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            if not self.is_alive():
                break
            time.sleep(0.02)
        told = self.output.read_text(errors="replace").strip().splitlines()
        raise Failed(f"does not listen: {told[-1] if told else 'said nothing'}")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
