"""CPUs from trees of files, laid out as kernels and container runtimes lay them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor_d.settings.values.capacity import usable_cpus

V2_MOUNT = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1_MOUNT = "33 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
V1_OTHER = "34 30 0:31 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n"


def machine(root: Path, memberships: str, mounts: str) -> None:
    """What /proc/self tells of this process' cgroups and of where they are mounted."""
    write(root, "proc/self/cgroup", memberships)
    write(root, "proc/self/mountinfo", mounts)


def write(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    found = usable_cpus(tmp_path, affinity=6)
    assert found.count == 6
    assert found.reasons == ("6 by affinity (sched_getaffinity)",)


def test_where_there_are_no_affinity_masks_every_cpu_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cpus(tmp_path).count == os.cpu_count()


def test_a_hierarchy_that_we_are_not_in_limits_nobody(tmp_path: Path) -> None:
    machine(tmp_path, "4:cpu:/x\n", V2_MOUNT)
    write(tmp_path, "sys/fs/cgroup/cpu.max", "100000 100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 8


def test_this_machine_has_an_answer() -> None:
    found = usable_cpus()
    assert 1 <= found.count <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cpu_max", "count"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("garbage\n", 8),
        ("100000 0\n", 8),
        ("", 8),
    ],
)
def test_a_v2_quota_caps_and_is_rounded_up(tmp_path: Path, cpu_max: str, count: int) -> None:
    machine(tmp_path, "0::/app\n", V2_MOUNT)
    write(tmp_path, "sys/fs/cgroup/app/cpu.max", cpu_max)
    assert usable_cpus(tmp_path, affinity=8).count == count


def test_the_tightest_ancestor_counts(tmp_path: Path) -> None:
    machine(tmp_path, "0::/a/b/c\n", V2_MOUNT)
    write(tmp_path, "sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n")
    write(tmp_path, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
    write(tmp_path, "sys/fs/cgroup/a/cpu.max", "300000 100000\n")
    found = usable_cpus(tmp_path, affinity=8)
    assert found.count == 3
    assert "3 by the cgroup quota 300000/100000 us in /sys/fs/cgroup/a/cpu.max" in found.reasons


def test_a_sibling_and_a_child_do_not_count(tmp_path: Path) -> None:
    machine(tmp_path, "0::/a\n", V2_MOUNT)
    write(tmp_path, "sys/fs/cgroup/other/cpu.max", "100000 100000\n")
    write(tmp_path, "sys/fs/cgroup/a/child/cpu.max", "100000 100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 8


@pytest.mark.parametrize(("quota", "count"), [("-1\n", 8), ("250000\n", 3), ("", 8)])
def test_a_v1_quota_caps(tmp_path: Path, quota: str, count: int) -> None:
    machine(tmp_path, "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n", V1_OTHER + V1_MOUNT)
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", quota)
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == count


def test_a_v1_quota_of_an_ancestor_caps(tmp_path: Path) -> None:
    machine(tmp_path, "4:cpu,cpuacct:/kubepods/pod1/x\n", V1_MOUNT)
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/kubepods/pod1/cpu.cfs_quota_us", "200000\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/kubepods/pod1/cpu.cfs_period_us", "100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 2


def test_on_a_hybrid_machine_the_tighter_hierarchy_counts(tmp_path: Path) -> None:
    unified = "31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    machine(tmp_path, "4:cpu,cpuacct:/x\n0::/y\n", unified + V1_MOUNT)
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "300000\n")
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 3
    write(tmp_path, "sys/fs/cgroup/unified/y/cpu.max", "200000 100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 2


def test_a_container_that_sees_its_own_cgroup_as_the_mounts_root(tmp_path: Path) -> None:
    """docker on v1 without a cgroup namespace: the path is the host's, the mount shows only what is below it."""
    mounted = "33 30 0:30 /docker/x /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
    machine(tmp_path, "4:cpu:/docker/x\n", mounted)
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 1


@pytest.mark.parametrize("path", ["/../../elsewhere", "/host/path"])
def test_a_path_outside_of_what_is_mounted_means_the_mounts_top(tmp_path: Path, path: str) -> None:
    mounted = "30 24 0:26 /visible /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
    machine(tmp_path, f"0::{path}\n", mounted)
    write(tmp_path, "sys/fs/cgroup/cpu.max", "100000 100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 1


def test_dots_in_a_path_do_not_leave_the_mount(tmp_path: Path) -> None:
    machine(tmp_path, "0::/../elsewhere\n", V2_MOUNT)
    write(tmp_path, "sys/fs/cgroup/cpu.max", "100000 100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 1


def test_a_mount_point_with_a_space_is_found(tmp_path: Path) -> None:
    machine(tmp_path, "0::/\n", "30 24 0:26 / /sys/my\\040cgroups rw - cgroup2 cgroup2 rw\n")
    write(tmp_path, "sys/my cgroups/cpu.max", "100000 100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 1


def test_ill_formed_lines_are_passed_over(tmp_path: Path) -> None:
    machine(tmp_path, "nonsense\n\n0::/a\n", "short - line\n" + V2_MOUNT)
    write(tmp_path, "sys/fs/cgroup/a/cpu.max", "200000 100000\n")
    assert usable_cpus(tmp_path, affinity=8).count == 2
