"""What the cgroup says of us: time throttled, processes killed for memory, memory used and allowed. Host side.

Both versions, and hybrid machines where memory is v1 and the rest v2. The files are found once and read when asked; a
file that is not there says nothing (macOS, no cgroups, a controller that is off). Sources: cgroups(7), the kernel's
Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from server_core.records import dataclass
from supervisor_d.settings.values.capacity import Mount, lineage, read, unescape

NEARLY_FULL: Final = 0.9
"""Share of the limit from which memory counts as nearly used up. Chosen: the kernel reclaims hard close to the limit,
and a replacement needs room beside the old worker."""

NO_LIMIT_BYTES: Final = 1 << 60
"""cgroup v1 writes "no limit" as the largest multiple of the page size below 2**63."""


@dataclass(frozen=True, slots=True)
class Memory:
    """`used_bytes` is without the page cache that can be dropped at once, as for a kubelet's working set."""

    used_bytes: int
    limit_bytes: int

    @property
    def spare_bytes(self) -> int:
        """What may still be used before it is nearly full."""
        return max(0, int(NEARLY_FULL * self.limit_bytes) - self.used_bytes)

    def room_bytes(self, ours_bytes: int) -> int:
        """What we may use before it is nearly full, if what we use is `ours_bytes` now."""
        return max(0, int(NEARLY_FULL * self.limit_bytes) - max(0, self.used_bytes - ours_bytes))

    @property
    def is_nearly_full(self) -> bool:
        return self.used_bytes >= NEARLY_FULL * self.limit_bytes


class Cgroup:
    """Our cgroup and its visible ancestors; `root` is given by tests only."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._cpu = tuple(_directories(root, "cpu"))
        self._memory = tuple(_directories(root, "memory"))

    def throttled_s(self) -> float:
        """Seconds in which a quota of ours or an ancestor's kept processes from running; it only grows."""
        total = 0.0
        for directory in self._cpu:
            figures = self._table(f"{directory}/cpu.stat")
            total += figures.get("throttled_usec", 0) / 1e6 + figures.get("throttled_time", 0) / 1e9
        return total

    def oom_kills(self) -> int:
        """Processes that the kernel has killed for memory in our cgroup, the innermost that counts them."""
        for directory in self._memory:
            for name in ("memory.events", "memory.oom_control"):
                figures = self._table(f"{directory}/{name}")
                if "oom_kill" in figures:
                    return figures["oom_kill"]
        return 0

    def memory(self) -> Memory | None:
        """The tightest memory limit on us and how much of it is used; None where nothing limits us."""
        found = [memory for memory in map(self._memory_of, self._memory) if memory is not None]
        return min(found, key=lambda memory: memory.limit_bytes - memory.used_bytes, default=None)

    def shortage(self) -> Memory | None:
        """A limit on us that is nearly used up; None if none is.

        memory.stat, which the kernel sums up over all children when it is read, only where that can be so at all.
        """
        for directory in self._memory:
            memory = self._memory_of(directory, stat_from=NEARLY_FULL)
            if memory is not None and memory.is_nearly_full:
                return memory
        return None

    def _memory_of(self, directory: str, *, stat_from: float = 0.0) -> Memory | None:
        """The limit in one directory, if there is one; the cache is counted as used below the share `stat_from`."""
        for limit_name, used_name, cache_key in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = read(self._root, f"{directory}/{limit_name}").strip()
            used = read(self._root, f"{directory}/{used_name}").strip()
            if limit.isdigit() and used.isdigit() and int(limit) < NO_LIMIT_BYTES:
                worth_it = int(used) >= stat_from * int(limit)
                droppable = self._table(f"{directory}/memory.stat").get(cache_key, 0) if worth_it else 0
                return Memory(max(0, int(used) - droppable), int(limit))
        return None

    def _table(self, name: str) -> dict[str, int]:
        """A file of `KEY NUMBER` lines."""
        pairs = (line.split() for line in read(self._root, name).splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


class OomKills:
    """Tells whether a worker's SIGKILL was the kernel's: the counter has risen beyond what was accounted for."""

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._accounted = cgroup.oom_kills()

    def account_for(self, *, killed_unasked: bool) -> bool:
        """Called once for every worker that has exited; True if it was probably killed for memory.

        Any other exit takes the counter as it stands, so that a kill of another program's process in the cgroup is not
        charged to a worker that dies much later.
        """
        kills = self._cgroup.oom_kills()
        if killed_unasked and kills > self._accounted:
            self._accounted += 1
            return True
        self._accounted = kills
        return False


def _directories(root: Path, controller: str) -> Iterator[str]:
    """Where files of this controller may be, innermost first, version 1 before version 2."""
    paths: dict[int, str] = {}
    for line in read(root, "/proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "" and path:
            paths[2] = path
        elif controller in controllers.split(","):
            paths[1] = path
    for line in read(root, "/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        version = {"cgroup2": 2, "cgroup": 1 if controller in kind[2].split(",") else 0}.get(kind[0], 0)
        if version in paths:
            yield from lineage(Mount(version, unescape(fields[3]), unescape(fields[4])), paths[version])
