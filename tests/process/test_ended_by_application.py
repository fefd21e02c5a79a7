"""A worker that its application ends, past all that Python could tell the server: the log and the status say so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.helpers.daemon import running

APP = """
import ctypes, os
async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/python":
        os._exit(7)
    if scope["path"] == "/c":
        ctypes.CDLL(None)._exit(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"well"})
"""
CAUSE = ": the application or a library ended the process (os._exit(), or exit() in C code)"


@pytest.mark.parametrize("start", [(), ("--preload",), ("--no-template",)], ids=["template", "preload", "none"])
@pytest.mark.parametrize(("path", "code"), [("/python", 7), ("/c", 0)])
def test_what_ended_a_worker_is_told(start: tuple[str, ...], path: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running("--workers", "1", *start, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.get_or_nothing(path)
        (crashed,) = daemon.heard.expect("worker.crashed")
        assert (crashed["exit_code"], crashed["reason"]) == (code, f"exited with code {code}{CAUSE}")
        daemon.heard.expect("worker.ready", times=2)
        assert f"exited with code {code}{CAUSE}" in str(daemon.status()["slots"])
        assert daemon.get() == (200, "well")


def test_an_import_that_ends_the_process_is_told(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import os\nos._exit(5)\n")
    with running("--workers", "1", directory=tmp_path) as daemon:
        (failed,) = daemon.heard.expect("worker.boot_failed")
        assert failed["traceback"] == f"exited with code 5 before it was ready{CAUSE}"
        assert daemon.wait() == 3


def test_sigterm_during_an_import_is_not_the_applications_doing(tmp_path: Path) -> None:
    """It says that it leaves; by the exit code alone it would be the same."""
    marker = tmp_path / "seen"
    (tmp_path / "app.py").write_text(
        "import os, threading\n"
        f"first = not os.path.exists({str(marker)!r})\n"
        f"open({str(marker)!r}, 'w').close()\n"
        "if first:\n"
        "    print('{\"event\": \"importing\"}', file=__import__('sys').stderr, flush=True)\n"
        "    threading.Event().wait()\n" + APP
    )
    with running("--workers", "1", directory=tmp_path) as daemon:
        daemon.heard.expect("importing")
        os.kill(daemon.pids()[1], signal.SIGTERM)
        (failed,) = daemon.heard.expect("worker.boot_failed")
        assert failed["traceback"] == "exited with code 0 before it was ready"
