"""`check`: what it finds out, with real workers, and how it ends when the application is not sound."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor_d.cli.check import check
from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.resolve import resolve
from tests.helpers.deadline import GENEROUS_S

ROOT = Path(__file__).parents[3]
DEADLINE_S = GENEROUS_S

LIFESPAN = """
async def app(scope, receive, send):
    assert scope["type"] == "lifespan", scope
    await receive()
    await send({{"type": "lifespan.startup.complete"}})
    print("started", flush=True)
    await receive()
    {shutdown}
    await send({{"type": "lifespan.shutdown.complete"}})
"""
SOUND = LIFESPAN.format(shutdown='print("stopped", flush=True)')


def run_check(directory: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`supervisor-d check app:app` as a process of its own; its output and the application's."""
    (directory / "app.py").write_text(source)
    command = [sys.executable, "-m", "supervisor_d", "check", "app:app", "--app-dir", str(directory), *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_sound_application_is_started_and_stopped_once(tmp_path: Path, loop: str) -> None:
    done = run_check(tmp_path, SOUND, "--loop", loop)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-3:-1] == ["started", "stopped"]
    assert lines[-1].startswith("app        app:app booted in ")
    assert "listeners  127.0.0.1:8000 (not opened)" in lines
    assert "stop       takes 33 s at most" in lines


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("", "app"),
        ("async def app(scope, receive, send):\n    await receive()\n    raise OSError('no database')", "no database"),
        ("import os\nos.abort()", "the worker ended before it was ready: killed by SIGABRT"),
        ("import os\nos._exit(7)", "the worker ended before it was ready: exit code 7"),
    ],
)
def test_an_application_that_cannot_boot_exits_with_3_and_its_own_reason(
    tmp_path: Path, source: str, said: str
) -> None:
    done = run_check(tmp_path, source)
    assert done.returncode == 3
    assert "supervisor-d: " in done.stderr
    assert said in done.stderr


def test_an_application_that_is_never_ready_exits_with_3_and_its_stacks(tmp_path: Path) -> None:
    # In 5 s even a machine that runs three suites at once has come as far as the application; in 1 s it had not.
    done = run_check(tmp_path, "import threading\nthreading.Event().wait()", "--boot-timeout", "5")
    assert done.returncode == 3
    assert "the application was not ready within boot-timeout (5 s); its threads:" in done.stderr
    assert 'app.py", line 2 in <module>' in done.stderr


@pytest.mark.parametrize(
    ("shutdown", "said"),
    [
        ("await asyncio.Event().wait()", "shutdown failed: not complete within 1.25 s (graceful-timeout (0.2 s))"),
        ("raise OSError('pool is gone')", "shutdown failed: OSError: pool is gone"),
        ("await send({'type': 'lifespan.shutdown.failed', 'message': 'no'}); return", "shutdown failed: no"),
        ("threading.Event().wait()", "was not drained within graceful-timeout (0.2 s); its threads:"),
    ],
)
def test_an_application_that_does_not_stop_well_exits_with_3(tmp_path: Path, shutdown: str, said: str) -> None:
    source = "import asyncio, threading\n" + LIFESPAN.format(shutdown=shutdown)
    done = run_check(tmp_path, source, "--graceful-timeout", "0.2")
    assert done.returncode == 3
    assert said in done.stderr


def test_a_probe_that_fails_exits_with_3(tmp_path: Path) -> None:
    source = SOUND.replace(
        'assert scope["type"] == "lifespan", scope', 'if scope["type"] == "http": raise OSError("x")'
    )
    done = run_check(tmp_path, source, "--health-path", "/healthz")
    assert done.returncode == 3
    assert "could not boot (probe)" in done.stderr


def test_an_unsound_setting_exits_with_2_before_anything_is_booted(tmp_path: Path) -> None:
    done = run_check(tmp_path, SOUND, "--workers", "0")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("grace", ["32", "30s", "0.5m"])
def test_a_budget_above_the_grace_is_refused_by_name(grace: str) -> None:
    found = check(resolve({"app": "app:app"}, {}), grace)
    with pytest.raises(ConfigurationError, match=r"grace: a stop may take 33 s, more than 3\d s"):
        list(found)


def test_a_grace_that_is_no_length_of_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="grace: must be a length of time"):
        list(check(resolve({"app": "app:app"}, {}), "soon"))


def test_counted_workers_are_told_with_their_reasons() -> None:
    found = check(resolve({"app": "app:app", "workers": "auto"}, {}), "1")
    assert "by affinity" in [next(found) for _ in range(3)][2]
