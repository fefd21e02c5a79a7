"""A reload that fails changes nothing and says why; one that succeeds changes every worker; a stop wins over both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.daemon import PID_APP, Daemon, environment, running

BROKEN = "import no_such_module_anywhere\n"
UNHEALTHY = PID_APP.replace('"status": 200', '"status": 500')
ENDLESS = """
import asyncio
async def app(scope, receive, send):
    await receive()
    await asyncio.Event().wait()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    return tmp_path


@pytest.fixture
def daemon(directory: Path) -> Iterator[Daemon]:
    with running("--workers", "2", "--boot-timeout", "10", "--health-path", "/", directory=directory) as started:
        started.heard.expect("worker.ready", times=2)
        yield started


def test_a_deploy_of_the_same_size_in_the_same_second_is_one(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tests deploy, wherever they run: with a cache of modules the old code would be served on."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    source = directory / "app.py"
    written = source.stat()
    with running("--workers", "1", directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        source.write_text(UNHEALTHY)
        os.utime(source, ns=(written.st_atime_ns, written.st_mtime_ns))
        assert source.stat().st_size == written.st_size
        assert daemon.ctl("reload").returncode == 0
        assert daemon.get()[0] == 500


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(BROKEN, "No module named 'no_such_module_anywhere'", id="import"),
        pytest.param("raise SystemExit(7)\n", "SystemExit", id="exit"),
        pytest.param("app = None\n", "app", id="not callable"),
        pytest.param("def broken(:\n", "SyntaxError", id="syntax"),
        pytest.param(UNHEALTHY, "500", id="probe"),
    ],
)
def test_a_bad_deploy_is_rolled_back_with_its_reason(daemon: Daemon, directory: Path, code: str, reason: str) -> None:
    before = daemon.pids()
    (directory / "app.py").write_text(code)
    asked = daemon.ctl("reload")
    assert asked.returncode == 1
    assert reason in asked.stderr
    assert daemon.pids() == before
    assert daemon.get()[1].split()[1] == "1"
    told = daemon.status()["last_reload"]
    assert isinstance(told, dict)
    assert told["outcome"] == "rolled_back"
    (directory / "app.py").write_text(PID_APP)
    asked = daemon.ctl("reload")
    assert asked.returncode == 0, asked.stderr
    assert daemon.get()[1].split()[1] == "3"
    assert not set(before.values()) & {slot["pid"] for slot in ready_slots(daemon)}


def ready_slots(daemon: Daemon) -> list[dict[str, object]]:
    slots = daemon.status()["slots"]
    assert isinstance(slots, list)
    return [slot for slot in slots if slot["state"] == "ready"]


def test_a_deploy_that_never_starts_is_rolled_back_at_the_boot_timeout(directory: Path) -> None:
    with running("--boot-timeout", "2", directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        before = daemon.pids()
        (directory / "app.py").write_text(ENDLESS)
        asked = daemon.ctl("reload")
        assert asked.returncode == 1
        assert "not ready within 2 s" in asked.stderr
        assert daemon.pids() == before


def test_hup_with_broken_code_leaves_the_old_workers_and_the_log_says_why(daemon: Daemon, directory: Path) -> None:
    before = daemon.pids()
    (directory / "app.py").write_text(BROKEN)
    with daemon.listening() as heard:
        daemon.signal(signal.SIGHUP)
        told = heard.expect("reload.rolled_back")[0]
    assert "no_such_module_anywhere" in str(told["traceback"])
    assert daemon.pids() == before


def test_a_dry_run_proves_the_new_code_and_changes_nothing(daemon: Daemon, directory: Path) -> None:
    before = daemon.pids()
    assert daemon.ctl("reload", "--dry-run").returncode == 0
    assert daemon.pids() == before
    (directory / "app.py").write_text(BROKEN)
    asked = daemon.ctl("reload", "--dry-run")
    assert asked.returncode == 1
    assert "no_such_module_anywhere" in asked.stderr
    assert daemon.pids() == before


def test_a_reload_during_a_reload_follows_it(directory: Path) -> None:
    with running("--soak", "1", directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        with daemon.listening() as heard:
            daemon.signal(signal.SIGHUP)
            heard.expect("reload.started")
            daemon.signal(signal.SIGHUP)
            heard.expect("reload.coalesced")
            daemon.signal(signal.SIGHUP)
            heard.expect("reload.committed", times=2)
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert len(heard.named("reload.started")) == 2


def test_a_stop_during_a_reload_wins_at_once(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        (directory / "app.py").write_text(ENDLESS)
        command = [sys.executable, "-m", "supervisor_d", "ctl", "--socket", daemon.control, "reload"]
        with (
            daemon.listening() as heard,
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as reload,
        ):
            heard.expect("worker.spawned")
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert "stop" in reload.communicate()[1]
            assert reload.returncode == 1


def test_a_reload_applies_changed_settings_and_names_those_that_need_a_restart(directory: Path) -> None:
    file = directory / "settings.toml"
    file.write_text('workers = 1\nkeep-alive = "70s"\nbacklog = 100\n')
    with running("--config", str(file), directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        file.write_text('workers = 2\nkeep-alive = "65s"\nbacklog = 200\n')
        with daemon.listening() as heard:
            reloaded = daemon.ctl("reload")
            assert reloaded.returncode == 0
            assert reloaded.stdout.endswith("; changed, too, but applied by a restart alone: backlog\n")
            told = json.dumps(heard.expect("reload.configured")[0]["changes"])
            heard.expect("worker.ready", times=2)
        assert daemon.status()["workers"] == {"target": 2, "ready": 2}
        for name in ("workers", "keep-alive", "backlog", "restart"):
            assert name in told.replace("_", "-")
        file.write_text("no-such-setting = 1\n")
        refused = daemon.ctl("reload")
        assert refused.returncode == 1
        assert "no-such-setting" in refused.stderr


@pytest.mark.parametrize("how", ["SIGHUP", "ctl"])
def test_who_asked_for_a_reload_is_told_in_the_log_and_in_last_reload(daemon: Daemon, how: str) -> None:
    command = [sys.executable, "-m", "supervisor_d", "ctl", "--socket", daemon.control, "reload"]
    with daemon.listening() as heard:
        if how == "ctl":
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment()) as asking:
                pid = asking.pid
        else:
            daemon.signal(signal.SIGHUP)
            pid = os.getpid()
        logged = str(heard.expect("reload.committed")[0]["origin"])
    told = daemon.status()["last_reload"]
    assert isinstance(told, dict)
    by, word = ("control", "reload") if how == "ctl" else ("signal", "SIGHUP")
    assert told["origin"] == {"by": by, "how": word, "pid": pid, "uid": os.getuid()}
    asked = word if by == "signal" else f"{word} by {by}"
    assert logged == f"{asked} from uid {os.getuid()}, pid {pid}"
