"""Whether those that hold an address are workers whose master is gone: by what /proc says of them and their parents."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from supervisor_d.host.sockets.predecessor import workers_left_at
from supervisor_d.settings.values.address import TcpAddress

WORKER = ("/srv/.venv/bin/python", "-P", "-m", "server_core.worker")


def process(processes: Path, pid: int, parent: int, *words: str, holds: str = "/dev/null") -> None:
    """As proc_pid_stat(5), proc_pid_cmdline(5) and proc_pid_fd(5) have it."""
    place = processes / str(pid)
    (place / "fd").mkdir(parents=True)
    (place / "fd" / "3").symlink_to(holds)
    (place / "stat").write_text(f"{pid} (of) no (name)) S {parent} {pid} 0")
    (place / "cmdline").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in words))


@pytest.mark.parametrize(
    "words",
    [
        ("/sbin/init",),
        ("sh", "-c", "while :; do supervisor-d run app:app; done"),
        ("/usr/bin/tini", "--", "/srv/.venv/bin/supervisor-d", "run", "app:app"),
        ("sh", "/srv/supervisor_d/start"),
        ("/usr/bin/python3", "/usr/bin/supervisord", "-c", "/srv/supervisor-d/of.conf"),
        (),
    ],
)
def test_an_orphan_is_one_whatever_adopted_it_names_in_its_command_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process(tmp_path, 1, 0, *words)
        process(tmp_path, 7, 1, *WORKER, holds=f"socket:[{os.fstat(listener.fileno()).st_ino}]")
        assert workers_left_at(TcpAddress(*listener.getsockname()), tmp_path) == (7,)


@pytest.mark.parametrize(
    "words",
    [
        ("/srv/.venv/bin/python", "-m", "supervisor_d", "run", "app:app"),
        ("/srv/.venv/bin/python3.11", "/srv/.venv/bin/supervisor-d", "run", "app:app"),
        ("python3", "-I", "/srv/supervisor-d.pex", "run", "app:app"),
    ],
)
def test_a_worker_of_a_master_that_hides_its_descriptors_is_none(tmp_path: Path, words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process(tmp_path, 1, 0, *words)
        process(tmp_path, 7, 1, *WORKER, holds=f"socket:[{os.fstat(listener.fileno()).st_ino}]")
        assert workers_left_at(TcpAddress(*listener.getsockname()), tmp_path) == ()
