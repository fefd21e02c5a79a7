"""What two workers of one daemon share that either can write to: what FORKING.md declares, and nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from server_core.contract.scoreboard import STACKS_SIGNAL
from tests.helpers.daemon import PID_APP, REPOSITORY, Daemon, running

PAGE: Final = REPOSITORY / "contrib" / "docs" / "FORKING.md"
ROW: Final = re.compile(r"\| `([^`]+)` \| (memory|file) \|")
MAPPING: Final = re.compile(r"[0-9a-f]+-[0-9a-f]+ .(.).(.) \S+ (\S+) (\d+)\s*(.*)")
"""proc_pid_maps(5): may it be written to, is it shared, the device, the inode, the name."""

KCMP: Final = {"x86_64": 312, "aarch64": 272}
"""The number of kcmp(2), which says whether two descriptors are one open file."""
WAYS: Final = ("--template", "--preload", "--no-template")
LOOPS: Final = ("uvloop", "asyncio")


def declared(kind: str) -> set[str]:
    """What the page says is shared, by kind."""
    return {name for name, of_kind in ROW.findall(PAGE.read_text()) if of_kind == kind}


def writable_shared(pid: int) -> set[tuple[str, str, str]]:
    """(device, inode, name) of all memory that this process can write to and others may, too."""
    found = (MAPPING.match(line) for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    return {(each[3], each[4], each[5]) for each in found if each and each[1] == "w" and each[2] == "s"}


def open_files(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found[int(entry.name)] = os.readlink(entry)
    return found


def libraries(pid: int) -> set[str]:
    """Libraries that this process has open to read: libffi has its own, to map its code once more for closures."""
    lines = (line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    executed = {words[5] for words in lines if len(words) == 6 and "x" in words[1]}
    return {name for fd, name in open_files(pid).items() if name in executed and access(pid, fd) == os.O_RDONLY}


def access(pid: int, fd: int) -> int:
    """Whether a descriptor reads, writes, or both: O_RDONLY, O_WRONLY, O_RDWR (proc_pid_fdinfo(5))."""
    lines = Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines()
    flags = dict(line.split(":", 1) for line in lines if ":" in line)["flags"]
    return int(flags, 8) & os.O_ACCMODE


def same_files(first: int, second: int) -> Iterator[str]:
    """The names of open files, each with its offset and flags, that both processes have."""
    libc, number = ctypes.CDLL(None, use_errno=True), KCMP[platform.machine()]
    for one, name in open_files(first).items():
        for other, other_name in open_files(second).items():
            if name != other_name:
                continue
            order = libc.syscall(number, first, second, 0, one, other)
            if order < 0:
                pytest.skip(f"kcmp: {os.strerror(ctypes.get_errno())}")
            if order == 0:
                yield name


def named(target: str, listeners: set[str], streams: set[str]) -> str:
    """What the page calls an open file."""
    if target in listeners:
        return "listeners"
    if target in streams:
        return "standard streams"
    return target.removesuffix(" (deleted)")


def two_workers(daemon: Daemon) -> tuple[int, int]:
    daemon.heard.expect("worker.ready", times=2)
    assert daemon.get()[0] == 200
    first, second = daemon.pids().values()
    return first, second


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS)
def test_workers_share_the_writable_memory_that_is_declared_and_no_other(tmp_path: Path, way: str, loop: str) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--workers", "2", way, "--loop", loop, "--access-log", "log", directory=tmp_path) as daemon:
        first, second = two_workers(daemon)
        shared = writable_shared(first) & writable_shared(second)
        assert {name.removesuffix(" (deleted)") for _, _, name in shared} == declared("memory")


@pytest.mark.parametrize("way", WAYS)
def test_workers_share_the_open_files_that_are_declared_and_no_other(tmp_path: Path, way: str) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--workers", "2", way, "--access-log", "log", directory=tmp_path) as daemon:
        first, second = two_workers(daemon)
        streams = {open_files(first)[number] for number in (0, 1, 2)}
        of_master = open_files(daemon.pid)
        (bound,) = daemon.heard.named("socket.bound")
        listeners = {of_master[int(str(bound["fd"]))]}
        same = set(same_files(first, second)) - libraries(first)
        shared = {named(target, listeners, streams) for target in same}
        assert shared == declared("file")


@pytest.mark.parametrize("way", WAYS)
def test_signals_that_workers_handle_at_the_same_moment_crash_none(tmp_path: Path, way: str) -> None:
    """Each on a stack of its own. The handler that writes stacks lasts long enough for them to meet."""
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--workers", "4", way, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=4)
        daemon.status()  # all of them sleep in their event loops by now
        for pid in list(daemon.pids().values()) * 100:
            os.kill(pid, STACKS_SIGNAL)
        os.killpg(daemon.pid, signal.SIGTERM)
        assert daemon.wait() == 0
        ends = daemon.heard.named("worker.exited") + daemon.heard.named("worker.crashed")
        assert [(end["exit_code"], end["signal"]) for end in ends] == [(0, None)] * 4


def test_what_the_application_printed_at_import_is_printed_once(tmp_path: Path) -> None:
    """A buffer that is not empty at a fork is in each worker, and would be written by each at its end."""
    printing = "import ctypes, sys\nctypes.CDLL(None).puts(b'by C')\nprint('by Python')\n"
    (tmp_path / "app.py").write_text(PID_APP + printing)
    written = tmp_path / "stdout"
    command = ("sh", "-c", 'exec "$@" >stdout', "sh")
    env = {"PYTHONUNBUFFERED": ""}
    with running("--workers", "2", "--preload", directory=tmp_path, command=command, env=env) as daemon:
        two_workers(daemon)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert sorted(written.read_text().splitlines()) == ["by C", "by Python"]
