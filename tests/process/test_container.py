"""The daemon as a container has it: PID 1, a root that is read-only, nobody's uid, no capability, loopback alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.helpers.daemon import DEADLINE_S, PID_APP, REPOSITORY, Daemon, running

NOBODY = 65534

ENTER = """\
set -e
mount --make-rprivate /
# An interpreter in a directory that is closed to others is shown in an open one of the same name.
for needed in "$BASE" "$PREFIX"; do
    top="/$(echo "$needed" | cut -d/ -f2)"
    if ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$needed/bin/python3"; then
        mount --bind "$needed" /mnt
        mount -t tmpfs -o mode=755 tmpfs "$top"
        mkdir -p "$needed"
        mount --move /mnt "$needed"
    fi
done
"$SYSTEM_PYTHON" - <<'LOOPBACK'
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up and running (netdevice(7))
LOOPBACK
cut -d" " -f5 /proc/self/mountinfo | sort -u | while read -r place; do
    mount -o remount,bind,ro "$place" || true
done 2>/dev/null
exec env -i PATH=/usr/bin:/bin PYTHONPATH="$PYTHONPATH" PYTHONDONTWRITEBYTECODE=1 \\
    setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
"""


def container() -> list[str]:
    missing = [tool for tool in ("unshare", "setpriv", "nsenter") if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root{' and '.join(['', *missing])}")
    words = {"BASE": sys.base_prefix, "PREFIX": sys.prefix, "SYSTEM_PYTHON": sys.executable}
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "--uts"]
    probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no namespaces here: {probe.stderr.decode().strip()}")
    return ["env", *(f"{name}={value}" for name, value in words.items()), *unshare, "sh", "-c", ENTER, "container"]


def master_of(daemon: Daemon) -> psutil.Process:
    (master,) = psutil.Process(daemon.pid).children()
    return master


def inside(daemon: Daemon, *command: str) -> subprocess.CompletedProcess[str]:
    """A command beside the daemon, on its loopback."""
    enter = ["nsenter", "-t", str(master_of(daemon).pid), "-n", "--"]
    return subprocess.run(
        [*enter, sys.executable, *command],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False, env={"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def ctl(daemon: Daemon, *arguments: str) -> str:
    asked = inside(daemon, "-m", "supervisor_d", "ctl", *arguments)
    assert asked.returncode == 0, f"{asked.stderr}\n{daemon.transcript()}"
    return asked.stdout


def writable(pids: Sequence[int]) -> list[str]:
    """Files on any disk that these processes hold open for writing."""
    found = []
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            place = os.readlink(entry)
            info = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().split()
            flags = int(info[info.index("flags:") + 1], 8)
            if place.startswith("/") and not place.startswith(("/memfd:", "/dev/")) and flags & os.O_ACCMODE:
                found.append(place)
    return found


@pytest.fixture
def directory() -> Iterator[Path]:
    """One that everybody may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="supervisor-d-test-") as name:
        made = Path(name)
        made.chmod(0o755)
        (made / "app.py").write_text(PID_APP)
        yield made


def test_it_needs_no_place_to_write_no_name_no_capability_and_no_network(directory: Path) -> None:
    flags = ("--workers", "2", "--control-socket", "", "--admin-bind", "127.0.0.1:9000", "--name", "app")
    with running(*flags, directory=directory, command=container(), bind="127.0.0.1:8000") as daemon:
        (started,) = daemon.heard.expect("master.started")
        assert started["pid"] == 1
        daemon.heard.expect("worker.ready", times=2)
        assert daemon.heard.named("control.opened")[0]["address"] == "@supervisor-d/app"
        master = master_of(daemon)
        assert set(master.uids()) == {NOBODY}
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{master.pid}/status").read_text()
        mounts = [line.split() for line in Path(f"/proc/{master.pid}/mountinfo").read_text().splitlines()]
        visible = {mount[4]: mount[5].split(",") for mount in mounts}  # of several at one place the last is seen
        assert [place for place, options in visible.items() if "ro" not in options] == []
        assert (
            inside(daemon, "-c", "from urllib.request import urlopen as o; o('http://127.0.0.1:8000')").returncode == 0
        )

        assert "committed" in ctl(daemon, "reload")
        ctl(daemon, "scale", "3")
        daemon.heard.expect("worker.ready", generation=2, times=3)
        assert ctl(daemon, "health", "--ready").startswith("ready: ")
        assert json.loads(ctl(daemon, "status", "--json"))["workers"] == {"target": 3, "ready": 3}
        assert "affinity" in ctl(daemon, "explain", "workers")
        assert writable([master.pid, *(worker.pid for worker in master.children(recursive=True))]) == []

        master.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert sorted(path.name for path in directory.iterdir()) == ["app.py"]
