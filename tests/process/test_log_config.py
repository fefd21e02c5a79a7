"""`--log-config` in workers: before the import, in spawned and forked ones; what is wrong with it ends the boot."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.helpers.daemon import running

APP = """
import logging
logging.getLogger("shop").info("imported")
async def app(scope, receive, send):
    if scope["type"] == "http":
        logging.getLogger("shop").info("asked for %s", scope["path"])
        if scope["path"] == "/boom":
            raise RuntimeError("boom")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
"""
FILE = str(Path(__file__).parents[1] / "apps" / "logging.json")


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--workers", "2", "--preload")])
def test_the_application_our_events_and_the_access_log_go_through_it(tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running(
        *("--log-config", FILE, "--access-log", "stderr", "--access-log-format", "%(m)s %(U)s %(s)s"),
        *flags,
        directory=tmp_path,
    ) as daemon:
        daemon.heard.expect("worker.ready", times=2 if flags else 1)
        assert daemon.get("/boom")[0] == 500
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.lines.count("PLAIN shop INFO imported") == (2 if flags == ("--workers", "2") else 1)
        assert "PLAIN shop INFO asked for /boom" in daemon.lines
        assert "PLAIN supervisor_d.access INFO GET /boom 500" in daemon.lines
        (failed,) = {line for line in daemon.lines if line.startswith("PLAIN supervisor_d ERROR request.failed slot=")}
        assert "path='/boom'" in failed
        assert not [event for event in daemon.events if event["event"] == "request.failed"]
        assert [event for event in daemon.events if event["event"] == "worker.ready"]


def test_what_cannot_be_applied_is_why_the_boot_fails(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "logging.json").write_text(json.dumps({"version": 1, "handlers": {"h": {"class": "no.such.Thing"}}}))
    with running("--log-config", "logging.json", directory=tmp_path) as daemon:
        assert daemon.wait() == 3
        assert f"log-config: {tmp_path}/logging.json cannot be applied: Unable to configure handler" in (
            daemon.transcript()
        )


def test_what_is_ill_formed_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "logging.json").write_text("{")
    with running("--log-config", "logging.json", directory=tmp_path) as daemon:
        assert daemon.wait() == 2
        assert f"log-config: {tmp_path}/logging.json is not JSON" in daemon.transcript()
        assert "(flag --log-config)" in daemon.transcript()
