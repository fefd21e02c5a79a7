"""`run --reload`: a save is a reload, a broken one is none, and what is no save is nothing."""

from __future__ import annotations

import http.client
import os
import select
import signal
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, running

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%s"})
"""


def save(path: Path, text: str) -> None:
    """As editors do: another file is renamed into its place."""
    draft = path.with_name(f"{path.name}~")
    draft.write_text(text)
    draft.rename(path)


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_a_save_is_served_and_a_broken_one_is_not(tmp_path: Path, flags: tuple[str, ...]) -> None:
    save(tmp_path / "app.py", APP % "one")
    with running("--reload", *flags, directory=tmp_path) as daemon:
        daemon.heard.expect("watcher.started")
        daemon.heard.expect("worker.ready", times=2 if flags else 1)
        kept = http.client.HTTPConnection(*daemon.address(), timeout=DEADLINE_S)
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"one"
        with daemon.listening() as heard:
            save(tmp_path / "app.py", APP % "two")
            heard.expect("reload.committed", origin="app.py by save")
        assert daemon.get() == (200, "two")
        with daemon.listening() as heard:
            save(tmp_path / "app.py", "import no_such_module_anywhere")
            (failed,) = heard.expect("reload.rolled_back")
        assert "No module named 'no_such_module_anywhere'" in str(failed["traceback"])
        assert daemon.get() == (200, "two")
        with daemon.listening() as heard:
            save(tmp_path / "app.py", APP % "three")
            heard.expect("reload.committed")
        assert daemon.get() == (200, "three")
        kept.close()


def test_files_that_are_saved_together_are_one_reload_and_others_are_none(tmp_path: Path) -> None:
    save(tmp_path / "app.py", APP % "one")
    with running("--reload", "--reload-exclude", "test_*", directory=tmp_path) as daemon:
        daemon.heard.expect("watcher.started")
        daemon.heard.expect("worker.ready")
        with daemon.listening() as heard:
            for name in ("test_app.py", ".#app.py", "app.py.swp", "notes.txt"):
                save(tmp_path / name, "")
            (tmp_path / "__pycache__").mkdir(exist_ok=True)
            save(tmp_path / "__pycache__" / "x.py", "")
            for name in ("a.py", "b.py", "c.py"):
                save(tmp_path / name, "")
            heard.expect("reload.committed")
            assert [event["origin"] for event in heard.named("reload.started")] == ["a.py, b.py, c.py by save"]


def test_connections_of_old_workers_end_at_once(tmp_path: Path) -> None:
    save(tmp_path / "app.py", APP % "one")
    with running("--reload", directory=tmp_path) as daemon:
        daemon.heard.expect("watcher.started")
        daemon.heard.expect("worker.ready")
        kept = http.client.HTTPConnection(*daemon.address(), timeout=DEADLINE_S)
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"one"
        save(tmp_path / "app.py", APP % "two")
        assert kept.sock is not None
        assert kept.sock.recv(1) == b""  # closed by the old worker
        assert daemon.get() == (200, "two")
        kept.close()


def test_the_watcher_is_started_again_and_ends_with_its_master(tmp_path: Path) -> None:
    save(tmp_path / "app.py", APP % "one")
    with running("--reload", directory=tmp_path) as daemon:
        (started,) = daemon.heard.expect("watcher.started")
        daemon.heard.expect("worker.ready")
        with daemon.listening() as heard:
            os.kill(int(str(started["pid"])), signal.SIGKILL)
            heard.expect("watcher.ended")
            (started,) = heard.expect("watcher.started")
            os.kill(daemon.pids()[1], signal.SIGKILL)  # at a worker's end orphans are looked for: it is none
            heard.expect("worker.ready")
            save(tmp_path / "app.py", APP % "two")
            heard.expect("reload.committed")
        second = os.pidfd_open(int(str(started["pid"])))
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        assert select.select([second], [], [], DEADLINE_S)[0] == [second]
        os.close(second)
