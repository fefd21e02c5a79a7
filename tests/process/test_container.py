"""The daemon as a container has it: PID 1, a root that is read-only, nobody's uid, no capability, loopback alone."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.container import (
    CONTROL,
    NOBODY,
    beside,
    contained,
    family,
    master_of,
    obstacle,
    open_for_writing,
    writable_mounts,
    written_bytes,
)
from tests.helpers.daemon import PID_APP, Daemon, running


def ctl(daemon: Daemon, *arguments: str) -> str:
    command = ("-m", "supervisor_d", "ctl", "--expect-user", "65534", *arguments)
    asked: subprocess.CompletedProcess[str] = beside(master_of(daemon.pid), *command)
    assert asked.returncode == 0, f"{asked.stderr}\n{daemon.transcript()}"
    return asked.stdout


@pytest.fixture
def directory() -> Iterator[Path]:
    """One that everybody may look into, unlike pytest's own."""
    reason = obstacle()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="supervisor-d-test-") as name:
        made = Path(name)
        made.chmod(0o755)
        (made / "app.py").write_text(PID_APP)
        yield made


def test_what_is_in_a_closed_directory_is_shown(directory: Path) -> None:
    """As a clone in root's own directory is, with the interpreter in it."""
    inside = directory / "inside"
    inside.mkdir()
    (directory / "app.py").rename(inside / "app.py")
    directory.chmod(0o700)
    with running("--workers", "1", directory=inside, command=contained(), bind="127.0.0.1:8000") as daemon:
        daemon.heard.expect("worker.ready")


def test_it_needs_no_place_to_write_no_name_no_capability_and_no_network(directory: Path) -> None:
    flags = ("--workers", "2", "--control-socket", "", "--admin-bind", "127.0.0.1:9000", "--name", "app")
    with running(*flags, directory=directory, command=contained(), bind="127.0.0.1:8000") as daemon:
        (started,) = daemon.heard.expect("master.started")
        assert started["pid"] == 1
        daemon.heard.expect("worker.ready", times=2)
        assert daemon.heard.named("control.opened")[0]["address"] == CONTROL
        master = master_of(daemon.pid)
        before = written_bytes([master.pid])  # by the shell that became the master: what is counted outlives exec(2)
        assert set(master.uids()) == {NOBODY}
        status = Path(f"/proc/{master.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert Path(f"/proc/{master.pid}/uid_map").read_text().split() == [str(NOBODY), str(NOBODY), "1"]
        assert writable_mounts(master) == ["/proc"]
        asked = beside(master, "-c", "from urllib.request import urlopen as o; o('http://127.0.0.1:8000')")
        assert asked.returncode == 0

        assert "committed" in ctl(daemon, "reload")
        ctl(daemon, "scale", "3")
        daemon.heard.expect("worker.ready", generation=2, times=3)
        assert ctl(daemon, "health", "--ready").startswith("ready: ")
        assert json.loads(ctl(daemon, "status", "--json"))["workers"] == {"target": 3, "ready": 3}
        assert "affinity" in ctl(daemon, "explain", "workers")
        assert open_for_writing(family(master)) == []
        assert written_bytes(family(master)) == before

        master.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert sorted(path.name for path in directory.iterdir()) == ["app.py"]


def test_under_another_init_it_is_an_ordinary_process_with_a_truthful_end(directory: Path) -> None:
    another = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?', "init"]
    with running(directory=directory, command=another) as daemon:
        assert daemon.heard.expect("master.started")[0]["pid"] == 2
        daemon.heard.expect("worker.ready")
        (init,) = psutil.Process(daemon.pid).children()
        (master,) = init.children()
        assert daemon.get()[0] == 200
        master.send_signal(signal.SIGINT)
        assert daemon.wait() == 0
    (directory / "app.py").write_text("raise LookupError('no database')")
    with running(directory=directory, command=another) as daemon:
        assert daemon.wait() == 3
