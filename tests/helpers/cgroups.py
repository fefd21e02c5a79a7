"""Control groups of the test's own, version 1 or 2, with real limits; for what a file tree cannot prove."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.daemon import DEADLINE_S

MEBIBYTE: Final = 1 << 20


def hierarchies() -> dict[str, tuple[int, Path]]:
    """Where each controller's groups can be made, with the version, by the controller's name."""
    found: dict[str, tuple[int, Path]] = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and (listed := Path(place) / "cgroup.subtree_control").exists():
            found |= {name: (2, Path(place)) for name in listed.read_text().split()}
        elif kind == "cgroup":
            found |= {name: (1, Path(place)) for name in options.split(",") if name in ("cpu", "memory")}
    return found


class Group:
    """What limits a command; `command` goes before it."""

    def __init__(self, directories: set[Path]) -> None:
        self.directories = directories

    @property
    def command(self) -> list[str]:
        enter = " && ".join(f"echo $$ > {directory}/cgroup.procs" for directory in sorted(self.directories))
        return ["sh", "-c", f'{enter} && exec "$@"', "limited"]


@contextlib.contextmanager
def limited(*, memory_bytes: int, cpus: float) -> Iterator[Group]:
    """A group with these limits, gone at the end; the test is skipped, with the reason, where none can be made."""
    places = hierarchies() if os.geteuid() == 0 else {}
    missing = [name for name in ("cpu", "memory") if name not in places]
    if missing:
        pytest.skip(f"no control group can be made here: root and the {' and '.join(missing)} controller are needed")
    group = Group({place / f"supervisor-d-test-{os.getpid()}" for _, place in places.values()})
    try:
        for directory in group.directories:
            directory.mkdir()
        write(places["memory"], {1: "memory.limit_in_bytes", 2: "memory.max"}, str(memory_bytes))
        period_us, quota_us = 100_000, int(cpus * 100_000)
        write(places["cpu"], {1: "cpu.cfs_quota_us", 2: "cpu.max"}, {1: f"{quota_us}", 2: f"{quota_us} {period_us}"})
        yield group
    finally:
        for directory in group.directories:
            empty(directory)
            directory.rmdir()


def empty(directory: Path) -> None:
    """Wait for what was killed to be gone."""
    for pid in (directory / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(int(pid))
            select.select([ended], [], [], DEADLINE_S)
            os.close(ended)


def write(hierarchy: tuple[int, Path], names: dict[int, str], value: str | dict[int, str]) -> None:
    version, place = hierarchy
    text = value if isinstance(value, str) else value[version]
    (place / f"supervisor-d-test-{os.getpid()}" / names[version]).write_text(text)
