"""Cgroup figures of both versions, from file trees that the test writes, and from the machine it runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.host.system.cgroup import Cgroup, Memory, OomKills


class Tree:
    """A file system root with cgroups in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def v2(self, path: str = "/pod/me") -> None:
        self.write("/proc/self/cgroup", f"0::{path}\n")
        self.write("/proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")

    def v1(self, path: str = "/docker/abc") -> None:
        self.write("/proc/self/cgroup", f"4:memory:{path}\n1:cpu,cpuacct:{path}\n0::/\n")
        self.write(
            "/proc/self/mountinfo",
            f"31 20 0:29 {path} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
            f"32 20 0:30 {path} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "33 20 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        )


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_room_is_what_others_leave_of_nine_tenths_of_the_limit() -> None:
    assert Memory(used_bytes=500, limit_bytes=1000).room_bytes(ours_bytes=300) == 700
    assert Memory(used_bytes=950, limit_bytes=1000).room_bytes(ours_bytes=0) == 0
    assert Memory(used_bytes=100, limit_bytes=1000).room_bytes(ours_bytes=300) == 900, "others may be charged for ours"


def test_where_there_are_no_cgroups_nothing_is_said(tree: Tree) -> None:
    cgroup = Cgroup(tree.root)
    assert (cgroup.throttled_s(), cgroup.oom_kills(), cgroup.memory()) == (0.0, 0, None)


def test_throttling_of_every_ancestor_counts_in_version_two(tree: Tree) -> None:
    tree.v2()
    tree.write("/sys/fs/cgroup/pod/me/cpu.stat", "usage_usec 5\nnr_throttled 3\nthrottled_usec 1500000\n")
    tree.write("/sys/fs/cgroup/pod/cpu.stat", "throttled_usec 250000\n")
    assert Cgroup(tree.root).throttled_s() == 1.75


def test_throttling_in_version_one_is_in_nanoseconds(tree: Tree) -> None:
    tree.v1()
    tree.write("/sys/fs/cgroup/cpu,cpuacct/cpu.stat", "nr_periods 9\nnr_throttled 1\nthrottled_time 2500000000\n")
    assert Cgroup(tree.root).throttled_s() == 2.5


@pytest.mark.parametrize(
    ("version", "name"),
    [("v2", "/sys/fs/cgroup/pod/me/memory.events"), ("v1", "/sys/fs/cgroup/memory/memory.oom_control")],
)
def test_kills_for_memory_are_read_from_either_version(tree: Tree, version: str, name: str) -> None:
    getattr(tree, version)()
    tree.write(name, "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    assert Cgroup(tree.root).oom_kills() == 4


def test_the_tightest_memory_limit_counts_without_the_cache_that_can_be_dropped(tree: Tree) -> None:
    tree.v2()
    for directory, limit, used in (("/pod/me", "max", 50), ("/pod", 1000, 960), ("", 5000, 3000)):
        tree.write(f"/sys/fs/cgroup{directory}/memory.max", f"{limit}\n")
        tree.write(f"/sys/fs/cgroup{directory}/memory.current", f"{used}\n")
    tree.write("/sys/fs/cgroup/pod/memory.stat", "anon 900\ninactive_file 50\n")
    memory = Cgroup(tree.root).memory()
    assert memory == Memory(910, 1000)
    assert memory.is_nearly_full


@pytest.mark.parametrize(
    ("version", "directory", "limit", "used", "cache"),
    [
        ("v2", "/sys/fs/cgroup/pod", "memory.max", "memory.current", "inactive_file"),
        ("v1", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_memory_is_short_from_nine_tenths_of_any_limit_without_the_cache(
    tree: Tree, version: str, directory: str, limit: str, used: str, cache: str
) -> None:
    getattr(tree, version)()
    tree.write(f"{directory}/{limit}", "1000\n")
    cgroup = Cgroup(tree.root)
    tree.write(f"{directory}/{used}", "899\n")
    assert cgroup.shortage() is None
    tree.write(f"{directory}/{used}", "950\n")
    tree.write(f"{directory}/memory.stat", f"{cache} 51\n")
    assert cgroup.shortage() is None
    tree.write(f"{directory}/memory.stat", f"{cache} 50\n")
    assert cgroup.shortage() == Memory(900, 1000)


def test_version_one_without_a_limit_has_none(tree: Tree) -> None:
    tree.v1()
    tree.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    tree.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n")
    assert Cgroup(tree.root).memory() is None
    tree.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n")
    tree.write("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 40\n")
    assert Cgroup(tree.root).memory() == Memory(60, 1000)


def test_a_path_that_the_mount_does_not_show_is_read_at_the_mount(tree: Tree) -> None:
    tree.v2("/../../elsewhere")
    tree.write("/sys/fs/cgroup/cpu.stat", "throttled_usec 1000000\n")
    assert Cgroup(tree.root).throttled_s() == 1.0


def test_this_machine_can_be_read() -> None:
    cgroup = Cgroup()
    assert cgroup.throttled_s() >= 0.0
    assert cgroup.oom_kills() >= 0


def test_a_kill_is_the_kernels_only_if_its_counter_rose_for_it(tree: Tree) -> None:
    tree.v2()
    name = "/sys/fs/cgroup/pod/me/memory.events"
    tree.write(name, "oom_kill 2\n")
    kills = OomKills(Cgroup(tree.root))
    assert not kills.account_for(killed_unasked=True), "two kills, but before our time"
    tree.write(name, "oom_kill 3\n")
    assert kills.account_for(killed_unasked=True)
    assert not kills.account_for(killed_unasked=True), "one kill is not charged twice"
    tree.write(name, "oom_kill 5\n")
    assert [kills.account_for(killed_unasked=True) for _ in range(3)] == [True, True, False]


def test_a_kill_of_somebody_else_is_not_charged_to_a_worker_that_dies_later(tree: Tree) -> None:
    tree.v2()
    name = "/sys/fs/cgroup/pod/me/memory.events"
    kills = OomKills(Cgroup(tree.root))
    tree.write(name, "oom_kill 1\n")
    assert not kills.account_for(killed_unasked=False), "an orderly exit"
    assert not kills.account_for(killed_unasked=True)
