"""How many CPUs this process may use: arithmetic over the files of /proc and cgroupfs under a given root.

The scheduler's affinity mask already honours cpusets. A CPU quota is not in it: a container limited to 1.5 CPUs on a
64-core machine sees 64. A quota may sit on any ancestor, in cgroup v1 (cpu.cfs_quota_us over cpu.cfs_period_us), in
v2 (cpu.max), or, on a hybrid machine, in either; the tightest one counts. It is rounded up: two workers on 1.5 CPUs
use all of it, one cannot. Sources: cgroups(7), proc_pid_mountinfo(5), kernel Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from server_core.records import dataclass

V2_CONTROLLERS = ""
"""The v2 hierarchy names no controllers in /proc/self/cgroup: its line is `0::/path`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A number of CPUs and the reasons for it, each a sentence for the operator."""

    count: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mount:
    """One cgroup file system: what part of the hierarchy (`root`) is visible where (`point`)."""

    version: int
    root: str
    point: str


def usable_cpus(root: Path = Path("/"), affinity: int | None = None) -> Explanation:
    """The CPUs that may be used, at least 1; `root` and `affinity` are given by tests only."""
    allowed = affinity_count() if affinity is None else affinity
    reasons = [f"{allowed} by affinity (sched_getaffinity)"]
    count = allowed
    for path, cpus in quotas(root):
        whole = max(1, -(-cpus[0] // cpus[1]))
        reasons.append(f"{whole} by the cgroup quota {cpus[0]}/{cpus[1]} us in {path}")
        count = min(count, whole)
    return Explanation(max(1, count), tuple(reasons))


def affinity_count() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity masks


def quotas(root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Every quota on our cgroups and their ancestors, as (file, (quota, period)), innermost first."""
    memberships = read_memberships(root)
    for mount in read_mounts(root):
        path = memberships.get(mount.version)
        if path is None:
            continue
        for directory in lineage(mount, path):
            found = quota_v2(root, directory) if mount.version == 2 else quota_v1(root, directory)
            if found is not None:
                yield found


def read_memberships(root: Path) -> dict[int, str]:
    """Our path in the v1 hierarchy that has the cpu controller, and in the v2 one, by version."""
    paths: dict[int, str] = {}
    for line in read(root, "/proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == V2_CONTROLLERS and path:
            paths[2] = path
        elif "cpu" in controllers.split(","):
            paths[1] = path
    return paths


def read_mounts(root: Path) -> Iterator[Mount]:
    """The mounted cgroup file systems that can hold a CPU quota."""
    for line in read(root, "/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield Mount(2, unescape(fields[3]), unescape(fields[4]))
        elif kind[0] == "cgroup" and "cpu" in kind[2].split(","):
            yield Mount(1, unescape(fields[3]), unescape(fields[4]))


def lineage(mount: Mount, path: str) -> Iterator[str]:
    """The directories of our cgroup and its visible ancestors, innermost first.

    A container may see a path that its mount does not show (`/docker/abc` mounted as the root, or `/../..` outside of
    the cgroup namespace): then the mount's own top is the nearest one there is.
    """
    inside = PurePosixPath(path)
    try:
        relative = inside.relative_to(mount.root)
    except ValueError:
        relative = PurePosixPath()
    if ".." in relative.parts:
        relative = PurePosixPath()
    for depth in range(len(relative.parts), -1, -1):
        yield str(PurePosixPath(mount.point, *relative.parts[:depth]))


def quota_v2(root: Path, directory: str) -> tuple[str, tuple[int, int]] | None:
    """cpu.max holds `QUOTA PERIOD`, both in microseconds; a quota of `max` is none."""
    name = f"{directory}/cpu.max"
    fields = read(root, name).split()
    if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]) > 0:
        return name, (int(fields[0]), int(fields[1]))
    return None


def quota_v1(root: Path, directory: str) -> tuple[str, tuple[int, int]] | None:
    """cpu.cfs_quota_us is -1 where there is no quota."""
    name = f"{directory}/cpu.cfs_quota_us"
    quota, period = read(root, name).strip(), read(root, f"{directory}/cpu.cfs_period_us").strip()
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        return name, (int(quota), int(period))
    return None


def read(root: Path, name: str) -> str:
    """The text of a file under root; nothing where it cannot be read, since then no limit is known."""
    try:
        return (root / name.lstrip("/")).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no such controller, no cgroups at all (macOS), or hidden by the container
        return ""


def unescape(field: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
