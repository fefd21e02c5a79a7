"""An application that forks: /WHERE/WHAT does it in a thread (as a `def` endpoint does) or in the event loop."""

from __future__ import annotations

import asyncio
import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

Message = MutableMapping[str, object]

FORK = multiprocessing.get_context("fork")


def state() -> str:
    """What this process has, as JSON: signals as masks (proc_pid_status(5)), descriptors, shared memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    masks = {
        line.split(":")[0]: int(line.split()[1], 16) for line in lines if line.startswith("Sig") and "Q" not in line
    }
    files, watched = [], []
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            files.append(os.readlink(entry))
            watched += [
                line for line in Path(f"/proc/self/fdinfo/{entry.name}").read_text().splitlines() if "tfd:" in line
            ]
        except OSError:  # the listing's own descriptor
            continue
    shared = [
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if line.split()[1] == "rw-s"
    ]
    told = {
        "pid": os.getpid(),
        "files": files,
        "watched": watched,
        "shared": shared,
        "wakeup": signal.set_wakeup_fd(-1),
    }
    return json.dumps({**told, **masks})


def by_process() -> str:
    reading, writing = FORK.Pipe(duplex=False)
    process = FORK.Process(target=lambda: writing.send(state()))
    process.start()
    told = reading.recv()
    process.join()
    return str(told)


def by_executor() -> str:
    with ProcessPoolExecutor(1, mp_context=FORK) as executor:
        return executor.submit(state).result()


def by_fork(depth: int = 1, *, session: bool = False) -> str:
    """What the last of so many processes says, each forked by the one before."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for _ in range(depth - 1):
                if session:
                    os.setsid()
                if os.fork():
                    os._exit(0)
            os.write(writing, state().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as told:
        text = told.read()
    os.waitpid(pid, 0)
    return text


def for_ever() -> None:
    while True:
        signal.pause()


def terminate() -> str:
    process = FORK.Process(target=for_ever)
    process.start()
    process.terminate()
    process.join()
    return str(process.exitcode)


def pool() -> str:
    with FORK.Pool(2) as processes:
        return str(sum(processes.map(abs, range(-10, 0))))


def daemon() -> str:
    process = FORK.Process(target=for_ever, daemon=True)
    process.start()
    return str(process.pid)


def stay(*, session: bool) -> str:
    """A child that lives on."""
    return forked(os.setsid if session else lambda: None)


def unseen() -> str:
    """A child that C code forks, so that it keeps all that its worker has."""
    libc = ctypes.PyDLL(None)
    pid = int(libc.fork())
    if pid == 0:
        libc.setsid()
        while True:
            libc.pause()
    return str(pid)


def stubborn() -> str:
    """A child with a child, both deaf to SIGTERM."""

    def be_stubborn() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.fork()

    return forked(be_stubborn)


def forked(become: Callable[[], object]) -> str:
    """The pid of a child that lives on, once it has become what it is to be."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become()
            os.write(writing, b"done")
            for_ever()
        finally:
            os._exit(0)
    os.read(reading, 4)
    os.close(reading)
    os.close(writing)
    return str(pid)


def come_back() -> str:
    return str(os.fork())


def program() -> str:
    listing = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True)
    return listing.stdout


def background() -> str:
    """The pid of a program whose parent, a shell, has ended; and the worker's."""
    script = "sleep 100000 > /dev/null 2>&1 & echo $!"
    started = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return f"{int(started.stdout)} {os.getpid()}"


WHAT: Mapping[str, Callable[[], str]] = {
    "process": by_process,
    "executor": by_executor,
    "fork": by_fork,
    "child-of-child": lambda: by_fork(2),
    "daemonised": lambda: by_fork(3, session=True),
    "terminate": terminate,
    "pool": pool,
    "daemon": daemon,
    "stay": lambda: stay(session=False),
    "survive": lambda: stay(session=True),
    "stubborn": stubborn,
    "unseen": unseen,
    "come-back": come_back,
    "program": program,
    "background": background,
    "pid": lambda: str(os.getpid()),
}


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "http":
        _, where, what = str(scope["path"]).split("/")
        body = await asyncio.to_thread(WHAT[what]) if where == "thread" else WHAT[what]()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body.encode()})
