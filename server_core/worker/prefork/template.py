"""A process that forks workers on the master's order: what it has imported is in memory once for all of a generation.

Pages are shared until somebody writes to them, and gc.freeze() keeps the collector from being the one. By default a
template holds the interpreter and the server, and each worker imports the application by itself; with `preload` it has
imported the application, too, and is called the zygote.

A worker is forked twice, and the process in between ends at once, so that the worker becomes the child of the master
(PR_SET_CHILD_SUBREAPER, prctl(2)) and is waited for like any other. Rejected: exit statuses told by the template, which
would make it a second master; clone(2) with CLONE_PARENT, which goes around what os.fork() does for the interpreter and
the C library.

A fork takes over one thread only and every open descriptor. So a start or an import that began threads or opened
sockets makes a process that must not be forked: it says so, by name, and goes on as an ordinary worker.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from server_core.contract.spec import ListenerSpec
from server_core.records import dataclass
from server_core.runtime.early_signals import finish_streams
from server_core.runtime.forked_child import of_workers
from server_core.worker.control_pipe import MasterGone, Pipe
from server_core.worker.prefork import native_threads, unshareable

TASKS: Final = Path("/proc/self/task")
DESCRIPTORS: Final = Path("/proc/self/fd")
NAMED_MAX: Final = 5
"""Offenders that are named; the first ones tell where to look."""

LOOP_FILES: Final = ("anon_inode:[eventpoll]", "anon_inode:[io_uring]", "anon_inode:[timerfd]")
"""What an event loop, or something like one, keeps open (proc_pid_fd(5))."""

ORIGINALS: Final = {
    (module, name): getattr(module, name)
    for module, names in (
        (os, ("fork", "waitpid")),
        (_thread, ("start_new_thread", "allocate_lock", "get_ident")),
        (time, ("sleep",)),
    )
    for name in names
}
"""What gevent and eventlet replace when they patch: their hub, and its threads, do not outlive a fork that is not
theirs, and theirs waits for children in a loop that nobody runs here. Kept when this is imported, before the
application is."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What a forked worker is born with: its pipe, and its record."""

    pipe: Pipe
    record_fd: int


def unforkable(own: Iterable[int], culprit: str) -> str | None:
    """What makes this process unfit to be forked, named; None if nothing does.

    `own` are descriptors that are ours; `culprit` is what has run until now.
    """
    try:
        ours = frozenset(own) | {0, 1, 2}
        left = [*_descriptors(ours), *unshareable.files(ours), *unshareable.processes()]
        offenders = [*_threads(), *left, *_replaced(), *_unwaitable()]
    except OSError as error:
        return f"what {culprit} left behind cannot be seen: {error}"
    if len(offenders) > NAMED_MAX:
        offenders[NAMED_MAX:] = [f"and {len(offenders) - NAMED_MAX} more"]
    return f"{culprit} left {', '.join(offenders)}" if offenders else None


def _threads() -> list[str]:
    """Threads besides this one: Python's by name, the others by their library, but for pools that end before a fork."""
    known = ((getattr(thread, "native_id", None), thread.name) for thread in threading.enumerate())  # eventlet's: none
    ours = {number: name for number, name in known if number is not None}
    if not _others() & ours.keys():
        native_threads.end_pools(_native(ours))
    named = [f"thread {ours[number]!r}" for number in sorted(_others() & ours.keys())]
    return named + native_threads.described(_native(ours))


def _others() -> set[int]:
    return {int(name) for name in os.listdir(TASKS)} - {threading.get_native_id()}


def _native(ours: Mapping[int, str]) -> list[Path]:
    return [TASKS / str(number) for number in sorted(_others() - ours.keys())]


def _replaced() -> list[str]:
    """Functions of the standard library that a fork and its waiting rest upon, and that are not its own any more."""
    return [
        f"{module.__name__}.{name} replaced by that of {getattr(now, '__module__', None) or type(now).__module__}"
        for (module, name), original in ORIGINALS.items()
        if (now := getattr(module, name, None)) is not original
    ]


def _unwaitable() -> list[str]:
    """SIGCHLD ignored: the kernel reaps children unseen then (wait(2), NOTES), and hands the worker to nobody."""
    return ["SIGCHLD ignored"] if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN else []


def _descriptors(own: frozenset[int]) -> list[str]:
    """Sockets and event loops that are open and not ours."""
    found = []
    for entry in sorted(DESCRIPTORS.iterdir(), key=lambda path: int(path.name)):
        fd = int(entry.name)
        try:
            mode, target = os.fstat(fd).st_mode, os.readlink(entry)
        except OSError:  # the listing's own descriptor
            continue
        if fd in own:
            continue
        if stat.S_ISSOCK(mode):
            found.append(f"a socket {_where(fd)}")
        elif target in LOOP_FILES:
            found.append(f"an event loop ({target}, descriptor {fd})")
    return found


def _where(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as sock:
        for words, call in (("connected to", sock.getpeername), ("bound to", sock.getsockname)):
            try:
                name = call()
            except OSError:  # ENOTCONN
                continue
            if name:
                return f"{words} {name!r} (descriptor {fd})"
    return f"without an address (descriptor {fd})"


def fork_on_order(pipe: Pipe, listeners: Iterable[ListenerSpec] = ()) -> Birth | None:
    """Fork whenever the master says so: in each worker its birth; None in the template itself when the master hangs up.

    `listeners` are those that the workers inherit. In a worker every signal is blocked, as in one that was spawned
    (contract/spec.py, "Spawning").
    """
    inherited = {listener.address: listener.fd for listener in listeners}
    while True:
        try:
            message, descriptors = pipe.receive_with_descriptors(2)
        except MasterGone:
            return None
        if message.verb == "unlisten":
            _give_up(inherited, str(message.fields.get("address")), message.fields.get("fd"))
        if message.verb != "fork" or len(descriptors) != 2:
            for descriptor in descriptors:
                os.close(descriptor)
            continue  # of a newer master: no reason to end, as in a worker
        try:
            with of_workers():
                pid = _fork_twice()
        except OSError as error:
            pipe.send(
                "fork_failed", {"slot": message.fields.get("slot"), "error": f"the template cannot fork: {error}"}
            )
        else:
            if pid == 0:
                pipe.close()
                return Birth(Pipe.from_descriptor(descriptors[0]), descriptors[1])
            pipe.send("forked", {"slot": message.fields.get("slot"), "pid": pid})
        for descriptor in descriptors:
            os.close(descriptor)


def _give_up(inherited: dict[str, int], address: str, fd: object) -> None:
    """Close a listener that was shut down; one that was bound in its place later has never been here."""
    if inherited.get(address) == fd:
        os.close(inherited.pop(address))


def _fork_twice() -> int:
    """The pid of a grandchild whose parent has ended; 0 in the grandchild, with every signal blocked."""
    finish_streams()  # what is still in a buffer would be written by each worker in the end
    reading, writing = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        middle = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reading)
        os.close(writing)
        raise
    if middle == 0:
        os.close(reading)
        _be_in_between(writing)
        return 0
    os.close(writing)
    told = os.read(reading, 64)
    os.close(reading)
    with contextlib.suppress(ChildProcessError):  # reaped by the kernel, where C code has it do so (SA_NOCLDWAIT)
        os.waitpid(middle, 0)  # only then is the grandchild the master's
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    pid = int(told or -errno.EAGAIN)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return pid


def _be_in_between(writing: int) -> None:
    """Fork, tell the pid (or the error's number, negative) and end; returns in the grandchild alone."""
    try:
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            return
    except OSError as error:
        pid = -(error.errno or errno.EAGAIN)
    os.write(writing, str(pid).encode())
    os._exit(0)
