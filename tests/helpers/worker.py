"""Plays the master to one real worker process: what crosses the boundary, and nothing that the master decides."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from server_core.contract.figures import Figures, unpack_figures
from server_core.contract.messages import Message, decode, encode
from server_core.contract.scoreboard import (
    LOADS_BYTES,
    RECORD_BYTES,
    RECORD_FILE_BYTES,
    STACKS_BYTES,
    STACKS_OFFSET,
    InFlight,
    unpack_in_flight,
)
from server_core.contract.spec import ListenerSpec, WorkerSpec
from server_core.settings.declaration import ServerSettings
from tests.helpers.deadline import GENEROUS_S

DEADLINE_S = GENEROUS_S
"""Paid only on failure."""

ROOT = Path(__file__).resolve().parents[2]


class Gate:
    """A socket shared with the application under test: it tells where it is, and waits where it was asked to."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(DEADLINE_S)

    def expect(self, word: str) -> None:
        """Wait until the application says this word; nothing else may come before it."""
        heard = self._ours.recv(4096).decode()
        if heard != word:
            pytest.fail(f"the application said {heard!r}, not {word!r}")

    def open(self) -> None:
        """Let one waiting application on."""
        self._ours.sendall(b"go")

    def close(self) -> None:
        self._ours.close()
        self.theirs.close()


class Request:
    """One GET that was sent."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
        self._connection.request("GET", path)

    def answer(self) -> tuple[int, str]:
        """Status and body, read to the end."""
        with self._connection.getresponse() as response:
            return response.status, response.read().decode()

    def __enter__(self) -> Request:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class WorkerProcess:
    """One worker, its pipe, its scoreboard and its listener."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        pipe: socket.socket,
        listener: socket.socket,
        spec: WorkerSpec,
        stderr: Path,
        gate: Gate,
    ) -> None:
        self.process = process
        self.pipe = pipe
        self.listener = listener
        self.address: tuple[str, int] = listener.getsockname()
        self.spec = spec
        self.gate = gate
        self.heard: list[Message] = []
        self._stderr = stderr

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(errors="replace")

    def expect_any(self) -> Message:
        """The next message, whatever it is."""
        self.pipe.settimeout(DEADLINE_S)
        try:
            line = self.pipe.recv(1 << 20)
        except TimeoutError:
            self._fail("no message came")
        if not line:
            self._fail("the pipe was closed instead of a message")
        self.heard.append(decode(line))
        return self.heard[-1]

    def expect(self, *verbs: str) -> Message:
        """The last of these messages, which must be the next ones, in this order."""
        for verb in verbs:
            if self.expect_any().verb != verb:
                self._fail(f"{self.heard[-1]} came instead of {verb!r}")
        return self.heard[-1]

    def expect_end(self) -> None:
        """The pipe is closed, and nothing was said before."""
        self.pipe.settimeout(DEADLINE_S)
        try:
            line = self.pipe.recv(1 << 20)
        except ConnectionResetError:  # it went with an order of ours unread
            line = b""
        if line:
            self._fail(f"{decode(line)} came instead of the end")

    def _fail(self, reason: str) -> NoReturn:
        pytest.fail(f"{reason}; heard {self.heard}; exit code {self.process.poll()}; stderr:\n{self.stderr}")

    def tell(self, verb: str, fields: Mapping[str, object] | None = None) -> None:
        self.pipe.sendall(encode(verb, fields))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the worker does not exit; heard {self.heard}; stderr:\n{self.stderr}")

    def serving(self) -> WorkerProcess:
        """Boot it to the point where it accepts."""
        self.expect("booted", "started", "ready")
        self.tell("serve")
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one GET on a connection of its own."""
        with self.begin(path) as request:
            return request.answer()

    def begin(self, path: str) -> Request:
        """Send one GET and leave the answer to be read later."""
        return Request(self.address, path)

    def record(self) -> bytes:
        return os.pread(self.spec.record_fd, RECORD_BYTES, 0)

    def figures(self) -> Figures:
        return unpack_figures(self.record())

    def fence(self) -> Figures:
        """The figures after two more beats: whatever the loop could do meanwhile, it has done and counted."""
        for _ in range(2):
            last = self.figures().loop_beat_at
            until(lambda last=last: self.figures().loop_beat_at > last)  # type: ignore[misc]  # bound per turn
        return self.figures()

    def in_flight(self) -> list[InFlight]:
        return unpack_in_flight(self.record())

    def stacks(self) -> str:
        return os.pread(self.spec.record_fd, STACKS_BYTES, STACKS_OFFSET).partition(b"\0")[0].decode()

    def hang_up(self) -> None:
        """Do what a killed master does: close the pipe and the listener."""
        self.pipe.close()
        self.listener.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what no descriptor tells (memory, /proc), giving the processor away at each turn."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("what was waited for did not come about")
        os.sched_yield()


@contextmanager
def spawned(
    app: str,
    *,
    slot: int = 1,
    generation: int = 1,
    beat_s: float = 0.05,
    spec_line: bytes | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    environ: Mapping[str, str] | None = None,
    **settings: object,
) -> Iterator[WorkerProcess]:
    """A worker that was started as contract.py says, and killed in the end if it still runs."""
    with ExitStack() as stack:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(ours.close)
        record_fd, loads_fd = os.memfd_create("record"), os.memfd_create("loads")
        stack.callback(os.close, record_fd)
        stack.callback(os.close, loads_fd)
        os.ftruncate(record_fd, RECORD_FILE_BYTES)
        os.lseek(record_fd, STACKS_OFFSET, os.SEEK_SET)
        os.ftruncate(loads_fd, LOADS_BYTES)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        gate = Gate()
        stack.callback(gate.close)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        spec = WorkerSpec(
            slot=slot,
            generation=generation,
            name="test",
            listeners=(ListenerSpec(listener.fileno(), "tcp"),),
            record_fd=record_fd,
            loads_fd=loads_fd,
            beat_s=beat_s,
            watch_s=beat_s,
            settings=ServerSettings(app=app, log_format="json", log_level="debug", **settings),  # type: ignore[arg-type]
        )
        ours.sendall(spec.as_message() if spec_line is None else spec_line)
        shared = (theirs.fileno(), listener.fileno(), record_fd, loads_fd, gate.theirs.fileno())
        errors = stack.enter_context((directory / "stderr").open("wb"))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "server_core.worker", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=errors if stderr is None else stderr,
                pass_fds=shared,
                env={**os.environ, "PYTHONPATH": str(ROOT), "GATE": str(gate.theirs.fileno()), **(environ or {})},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        stack.callback(_end, process)
        yield WorkerProcess(process, ours, listener, spec, directory / "stderr", gate)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
