"""The real daemon as tests use it: start, listen, expect. The only code that waits in process tests.

Events come as JSON lines on the daemon's standard error, which is read with a blocking poll and one deadline; a test
subscribes before it acts, so that nothing that happens in between is missed:

    with daemon.listening() as heard:
        daemon.signal(signal.SIGHUP)
        heard.expect("worker.ready", generation=2, times=2)

When something expected does not come, the failure shows the whole transcript. Whatever was started is ended.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.helpers.deadline import GENEROUS_S

DEADLINE_S: Final = GENEROUS_S
REPOSITORY: Final = Path(__file__).parents[2]

LEAVING: Final = frozenset(
    f"worker.{end}" for end in ("boot_failed", "boot_expired", "draining", "terminated", "killed", "exited", "crashed")
)
"""Events after which a worker is gone, or will be when its interpreter has come to its end."""

PID_APP: Final = """
import asyncio, os
async def app(scope, receive, send):
    if scope["type"] == "http":
        if scope["path"] == "/slow":
            await asyncio.sleep(3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{os.getpid()} {GENERATION}".encode()})
GENERATION = os.environ.get("SUPERVISOR_D_GENERATION")
"""
"""Answers with the worker's pid and generation, on /slow after three seconds; knows no lifespan."""


class Daemon:
    """One daemon, its transcript, and its end."""

    def __init__(self, process: subprocess.Popen[bytes], control: str) -> None:
        self.process = process
        self.control = control
        self.events: list[Mapping[str, object]] = []
        self.lines: list[str] = []
        self._rest = b""
        assert process.stderr is not None
        self._stderr = process.stderr.fileno()
        self._is_at_end = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    @contextmanager
    def listening(self) -> Iterator[Heard]:
        """What is heard inside begins with the first event after now."""
        self._read(0.0)
        yield Heard(self, len(self.events))

    @property
    def heard(self) -> Heard:
        """Everything from the start."""
        return Heard(self, 0)

    def address(self) -> tuple[str, int]:
        """Where it listens first."""
        bound = self.heard.expect("socket.bound")[0]
        host, _, port = str(bound["address"]).rpartition(":")
        return host.strip("[]"), int(port)

    def get(self, path: str = "/") -> tuple[int, str]:
        """One request on a connection of its own."""
        host, port = self.address()
        connection = http.client.HTTPConnection(host, port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def get_or_nothing(self, path: str) -> tuple[int, str] | None:
        """The same of a worker that may end before it has answered."""
        try:
            return self.get(path)
        except (OSError, http.client.HTTPException):
            return None

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One ctl command against this daemon."""
        command = [sys.executable, "-m", "supervisor_d", "ctl", "--socket", self.control, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_S, env=environment(), check=False
        )

    def status(self) -> Mapping[str, object]:
        """The object of `ctl status --json`."""
        asked = self.ctl("status", "--json")
        assert asked.returncode == 0, f"{asked.stderr}\n{self.transcript()}"
        found: object = json.loads(asked.stdout)
        assert isinstance(found, dict)
        return found

    def pids(self) -> dict[int, int]:
        """The process of every slot whose worker is not on its way out, as the events tell it."""
        self._read(0.0)
        living: dict[int, int] = {}
        for event in self.events:
            if event["event"] == "worker.spawned":
                living[int(str(event["slot"]))] = int(str(event["pid"]))
            elif event["event"] in LEAVING:
                living.pop(int(str(event["slot"])), None)
        return living

    def wait(self) -> int:
        """The exit code, once the process has ended; everything it wrote is in the transcript then."""
        ended = os.pidfd_open(self.pid)
        try:
            give_up_at = time.monotonic() + DEADLINE_S
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            while not poll.poll(0):  # its output is read meanwhile: a full pipe must not be what it waits for
                self._wait_for_more(give_up_at, "the daemon to end", also=ended)
        finally:
            os.close(ended)
        self._read(0.0)
        return self.process.wait()

    def transcript(self) -> str:
        return "\n".join(self.lines) + "\n"

    def close(self) -> None:
        """Kill what is left of it: the master and every worker are one process group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all of them are gone
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _wait_for_more(self, give_up_at: float, awaited: str, also: int | None = None) -> None:
        left = give_up_at - time.monotonic()
        assert left > 0, f"waited {DEADLINE_S:g} s for {awaited}; transcript:\n{self.transcript()}"
        if also is None and self._is_at_end:
            raise AssertionError(f"the daemon ended before {awaited}; transcript:\n{self.transcript()}")
        poll = select.poll()
        if not self._is_at_end:
            poll.register(self._stderr, select.POLLIN)
        if also is not None:
            poll.register(also, select.POLLIN)
        poll.poll(left * 1000)
        self._read(0.0)

    def _read(self, timeout_s: float) -> None:
        """Take what there is."""
        poll = select.poll()
        poll.register(self._stderr, select.POLLIN)
        while not self._is_at_end and poll.poll(timeout_s * 1000):
            data = os.read(self._stderr, 65536)
            self._is_at_end = not data
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(line.decode("utf-8", "backslashreplace"))

    def _take(self, line: str) -> None:
        self.lines.append(line)
        try:
            event: object = json.loads(line)
        except ValueError:
            return  # not the daemon's: a warning of the interpreter, or what an application prints
        if isinstance(event, dict) and "event" in event:
            self.events.append(event)


class Heard:
    """The events from one moment on."""

    def __init__(self, daemon: Daemon, first: int) -> None:
        self._daemon = daemon
        self._first = first

    def named(self, event: str, **fields: object) -> list[Mapping[str, object]]:
        """Those that have come by now."""
        return [
            heard
            for heard in self._daemon.events[self._first :]
            if heard["event"] == event and all(heard.get(name) == value for name, value in fields.items())
        ]

    def expect(self, event: str, times: int = 1, **fields: object) -> list[Mapping[str, object]]:
        """At least so many events with this name and these facts, now or within the deadline."""
        give_up_at = time.monotonic() + DEADLINE_S
        while len(found := self.named(event, **fields)) < times:
            self._daemon._wait_for_more(give_up_at, f"{event} {fields or ''} x{times}")
        return found

    def names(self) -> list[str]:
        return [str(heard["event"]) for heard in self._daemon.events[self._first :]]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a daemon under test: ours without any setting, and with the code under test.

    Nothing is cached: Python takes a cached module for the source's if both size and time, in whole seconds, are the
    same, and a test deploys 500 in the place of 200 within a second.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SUPERVISOR_D_", "LISTEN_", "NOTIFY_", "WATCHDOG_"))
        and name not in ("PORT", "WEB_CONCURRENCY")
    }
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


@contextmanager
def running(
    *flags: str,
    app: str = "app:app",
    directory: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    bind: str | None = "127.0.0.1:0",
    stdin: int = subprocess.DEVNULL,
    command: Sequence[str] = (),
    python: str = sys.executable,
) -> Iterator[Daemon]:
    """A daemon with these flags; `command` goes before it (unshare, say) and must exec it."""
    control = f"@supervisor-d-test-{uuid.uuid4().hex[:12]}"
    where = ["--bind", bind] if bind is not None else []
    process = subprocess.Popen(
        [
            *command,
            python,
            *("-m", "supervisor_d", "run", app, "--log-format", "json", "--control-socket", control),
            *where,
            *flags,
        ],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=environment(env),
        pass_fds=pass_fds,
        start_new_session=True,
    )
    daemon = Daemon(process, control)
    try:
        yield daemon
    finally:
        daemon.close()


def free_listener() -> socket.socket:
    """A listening TCP socket on a free port, to be handed in.

    It does not block: nginx takes an inherited listener as it is, and of two of its workers that are woken for one
    connection the later would wait in accept(2) for ever.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener
