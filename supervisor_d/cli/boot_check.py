"""Boot the application once, as a worker would, without a listener; then stop it, and say how that went.

A worker of the real kind is spoken to by the contract, one message after the other: nothing else happens meanwhile,
so this may wait, and needs no policy. The application's own output goes where ours goes.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from server_core.contract.messages import MESSAGE_LIMIT, Message, decode, encode
from server_core.contract.scoreboard import LOADS_BYTES, STACKS_SIGNAL
from server_core.contract.spec import WorkerSpec
from server_core.records import dataclass
from server_core.settings.option import plain
from supervisor_d import clock
from supervisor_d.errors import BootError, SpawnError
from supervisor_d.host.observation.worker_record import WorkerRecord, anonymous_file
from supervisor_d.host.processes.interpreter import worker_command, worker_environment
from supervisor_d.host.processes.spawn import start
from supervisor_d.host.processes.worker_pipe import socket_pair
from supervisor_d.host.tls_copies import copy_tls
from supervisor_d.settings.application.env_file import variables_of
from supervisor_d.settings.application.location import Location
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.values.identity import Identity, identity_of
from supervisor_d.vocabulary import Instant, Terms

SLOT = 1
KILL_GRACE_S = 3.0
"""Beyond graceful-timeout, for giving up and for the exit itself; chosen, as the daemon's own last steps."""
STACKS_S = 0.5
"""How long a worker may take to write its stacks; measured elsewhere: about a millisecond each."""


@dataclass(frozen=True, slots=True)
class Boot:
    """How long the two ends of one life took, in seconds."""

    boot_s: float
    stop_s: float


def boot_once(settings: Settings, terms: Terms, location: Location) -> Boot:
    """Boot, probe and stop one worker; BootError says why that did not work."""
    with contextlib.ExitStack() as stack:
        ours, theirs = (stack.enter_context(end) for end in socket_pair())
        record = stack.enter_context(contextlib.closing(WorkerRecord("worker-check")))
        loads_fd = anonymous_file("loads", LOADS_BYTES)
        stack.callback(os.close, loads_fd)
        identity = identity_of(settings.daemon.user, settings.daemon.group)
        tls = stack.enter_context(contextlib.closing(copy_tls(location.server, identity)))
        began = clock.now()
        told = replace(
            spec(settings.daemon.name, terms, location, (record.fd, loads_fd, *tls.descriptors)),
            environment=variables_of(location, worker_environment(os.environ)),
            umask=settings.daemon.umask,
        )
        process = spawn(theirs, told, identity)
        stack.callback(put_away, process)
        theirs.close()
        worker = Conversation(process, ours, record)
        worker.say(told.as_message())
        worker.hear("ready", Instant(began + terms.boot_timeout), f"boot-timeout ({plain(terms.boot_timeout)} s)")
        booted = clock.now()
        worker.say(encode("drain", {"timeout_s": terms.graceful_timeout, "final": False}))
        until = Instant(booted + terms.graceful_timeout + KILL_GRACE_S)
        limit = f"graceful-timeout ({plain(terms.graceful_timeout)} s)"
        drained = worker.hear("drained", until, limit)
        worker.expect_end(until)
        if error := drained.fields.get("lifespan_error"):
            raise BootError(f"the application's lifespan shutdown failed: {error} ({limit})")
        return Boot(boot_s=booted - began, stop_s=clock.now() - booted)


class Conversation:
    """The master's side of one worker's pipe, and the process at its other end."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: socket.socket, record: WorkerRecord) -> None:
        self.process = process
        self.pipe = pipe
        self.record = record
        self.unread = b""

    def say(self, line: bytes) -> None:
        try:
            self.pipe.sendall(line)
        except OSError:  # EPIPE, ECONNRESET: it is gone, and hear() tells how
            return

    def hear(self, verb: str, until: Instant, limit: str) -> Message:
        """Wait for one verb, and return it; BootError with the worker's own account if something else comes first."""
        while (message := self.next_message(verb, until, limit)).verb != verb:
            if message.verb == "failed":
                stage, traceback = message.fields.get("stage"), str(message.fields.get("traceback"))
                raise BootError(f"the application could not boot ({stage}):\n{traceback.rstrip()}")
        return message

    def next_message(self, wanted: str, until: Instant, limit: str) -> Message:
        while b"\n" not in self.unread:
            data = self.receive(until)
            if data is None:
                raise BootError(
                    f"the application was not {wanted} within {limit}; its threads:\n{self.ask_for_stacks()}"
                )
            if not data:
                raise BootError(f"the worker ended before it was {wanted}: {ending(self.process.wait())}")
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        return decode(line)

    def receive(self, until: Instant) -> bytes | None:
        """What the pipe has next, nothing at its end, None if `until` comes first."""
        readable = select.poll()
        readable.register(self.pipe, select.POLLIN)
        if not readable.poll(max(0.0, until - clock.now()) * 1000):
            return None
        try:
            return self.pipe.recv(MESSAGE_LIMIT)
        except ConnectionResetError:  # it died with our message unread
            return b""

    def ask_for_stacks(self) -> str:
        """What every thread of the worker is doing, if it can still tell."""
        self.process.send_signal(STACKS_SIGNAL)
        self.receive(Instant(clock.now() + STACKS_S))
        return self.record.stacks().rstrip() or "(not told)"

    def expect_end(self, until: Instant) -> None:
        try:
            code = self.process.wait(max(0.1, until - clock.now()))
        except subprocess.TimeoutExpired:
            raise BootError("the worker said it had stopped, but its process did not end") from None
        if code != 0:
            raise BootError(f"the worker did not stop in order: {ending(code)}")


def spec(name: str, terms: Terms, location: Location, descriptors: Sequence[int]) -> WorkerSpec:
    """The spec of the worker; `descriptors` are the record's, the loads' and those of the copies of TLS files."""
    record_fd, loads_fd, *tls_fds = descriptors
    return WorkerSpec(
        slot=SLOT,
        generation=1,
        name=name,
        listeners=(),
        record_fd=record_fd,
        loads_fd=loads_fd,
        beat_s=terms.beat_s,
        watch_s=terms.watch_s,
        settings=location.server,
        directory=location.directory,
        search=location.search,
        tls_fds=tuple(tls_fds),
    )


def spawn(pipe: socket.socket, told: WorkerSpec, identity: Identity | None) -> subprocess.Popen[bytes]:
    """A worker with every signal blocked until it has handlers, as the contract has it."""
    try:
        environ = {**worker_environment(os.environ), **told.environment, **told.search.as_variable()}
        descriptors = (pipe.fileno(), *told.descriptors)
        return start(worker_command(pipe.fileno()), descriptors, environ, identity, told.directory, told.umask)
    except OSError as error:
        raise SpawnError(f"no worker could be started: {error.strerror}") from None


def put_away(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def ending(code: int) -> str:
    """An exit status for a person; Popen gives a signal as its negative number."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-code}"
