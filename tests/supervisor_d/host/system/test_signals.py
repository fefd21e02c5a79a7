"""Signals to the master become facts, with their sender, and none of them ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from supervisor_d.host.reactor import Reactor
from supervisor_d.host.system.signal_source import HANDLED, READ_BYTES, SignalSource
from supervisor_d.host.system.signals import MEANINGS, Signals
from supervisor_d.vocabulary import (
    Origin,
    ReloadRequested,
    ReopenRequested,
    ScaleRequested,
    Started,
    StopRequested,
)
from tests.helpers.facts import Told
from tests.helpers.logs import Remembered
from tests.helpers.terminal import a_terminal


def send(number: int) -> None:
    """To this thread alone: another that a test before left behind does not block it, and would die of it."""
    signal.pthread_kill(threading.get_ident(), number)


class Deaf(SignalSource):
    """As on a system without signalfd."""

    def _open_signalfd(self) -> bool:
        return False


class Heard:
    def __init__(self, kind: type[SignalSource]) -> None:
        self.reactor = Reactor()
        self.told = Told(self.reactor)
        self.log = Remembered()
        self.children = 0
        self.source = kind()
        self.signals = Signals(self.reactor, self.log, self.on_child, self.source)
        self.knows_sender = kind is SignalSource
        self.signals.open()

    def on_child(self) -> None:
        self.children += 1
        self.reactor.tell(Started())

    def origin(self, name: str) -> Origin:
        return Origin("signal", name, *((os.getpid(), os.getuid()) if self.knows_sender else (None, None)))

    def close(self) -> None:
        self.signals.close()
        self.source.restore()
        self.reactor.close()


@pytest.fixture(params=[SignalSource, Deaf])
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    made = Heard(request.param)
    yield made
    made.close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    for number, handler in handlers.items():
        assert signal.getsignal(number) == handler


@pytest.mark.parametrize(
    ("number", "fact"),
    [
        (signal.SIGTERM, lambda origin: StopRequested(origin, fast=False)),
        (signal.SIGINT, lambda origin: StopRequested(origin, fast=False)),
        (signal.SIGQUIT, lambda origin: StopRequested(origin, fast=True)),
        (signal.SIGHUP, ReloadRequested),
        (signal.SIGTTIN, lambda origin: ScaleRequested(origin, 1, True)),
        (signal.SIGTTOU, lambda origin: ScaleRequested(origin, -1, True)),
        (signal.SIGUSR1, ReopenRequested),
    ],
)
def test_every_signal_has_its_meaning_and_its_sender(heard: Heard, number: int, fact: object) -> None:
    assert callable(fact)
    name = signal.Signals(number).name
    send(number)
    assert heard.told.expect(object) == fact(heard.origin(name))
    (logged,) = heard.log.named("signal.received")
    assert logged["signal"] == name


def test_the_second_interrupt_is_fast(heard: Heard) -> None:
    stops = []
    for _ in range(3):
        send(signal.SIGINT)
        stops.append(heard.told.expect(StopRequested).fast)
    assert stops == [False, True, True]


def test_usr2_is_declined_and_tells_the_policy_nothing(heard: Heard) -> None:
    send(signal.SIGUSR2)
    send(signal.SIGHUP)
    heard.told.expect(ReloadRequested)
    assert heard.told.kinds() == ["ReloadRequested"]
    assert [fields["feature"] for fields in heard.log.named("master.degraded")][-1] == "upgrade (SIGUSR2)"


def test_a_child_that_ends_is_looked_after(heard: Heard) -> None:
    send(signal.SIGCHLD)
    heard.told.expect(Started)
    assert heard.children == 1
    assert heard.log.named("signal.received") == []


@pytest.mark.parametrize("heard", [SignalSource], indirect=True)
def test_signals_sent_together_are_all_heard(heard: Heard) -> None:
    """With signalfd only: so many nested handlers overflow the small stack on which faulthandler has them run."""
    for number in MEANINGS:
        send(number)
    facts = [heard.told.expect(object) for _ in MEANINGS]
    assert len(facts) == len(MEANINGS)
    assert {fields["signal"] for fields in heard.log.named("signal.received")} == {number.name for number in MEANINGS}


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_as_many_as_are_read_at_a_time_are_all_heard(more: int) -> None:
    source = Deaf()
    source.open()
    try:
        (descriptor,) = source.descriptors
        writing = signal.set_wakeup_fd(-1)
        os.write(writing, bytes([signal.SIGCHLD]) * (READ_BYTES + more - 1) + bytes([signal.SIGTERM]))
        told = []
        while received := source.read(descriptor):
            told += received
        assert len(told) == READ_BYTES + more
        assert told[-1] == (signal.SIGTERM, None, None)
    finally:
        source.restore()


def test_an_ignored_sigchld_that_was_inherited_does_not_hide_exit_codes() -> None:
    program = """
import os, signal
from supervisor_d.host.system.signals import Signals
from supervisor_d.host.reactor import Reactor
assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
Signals(Reactor(), lambda event, **fields: None, lambda: None).open()
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], os.environ)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
"""
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    subprocess.run([sys.executable, "-c", ignoring, sys.executable, "-c", program], check=True)


AT_A_TERMINAL = """
import fcntl, select, sys, termios
from supervisor_d.host.system.signal_source import SignalSource
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
source = SignalSource()
source.open()
print("open", flush=True)
ready, _, _ = select.select(source.descriptors, (), ())
print(*[source.read(descriptor) for descriptor in ready], flush=True)
"""


def test_a_terminals_interrupt_has_no_sender() -> None:
    keyboard, terminal = a_terminal()
    with subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL],
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        os.write(keyboard, b"\x03")
        assert process.stdout.readline() == f"[({signal.SIGINT:d}, None, None)]\n"
    os.close(keyboard)
    os.close(terminal)
