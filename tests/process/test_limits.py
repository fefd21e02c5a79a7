"""The daemon in control groups with real limits: how many workers, and what a kill for memory costs."""

from __future__ import annotations

import http.client
import json
import os
import re
from pathlib import Path

import pytest

from tests.helpers.cgroups import MEBIBYTE, limited
from tests.helpers.daemon import running

APP = """
import os
HEAVY = bytearray(int(os.environ.get("HEAVY_BYTES", "0")))
for page in range(0, len(HEAVY), 4096):
    HEAVY[page] = 1
async def app(scope, receive, send):
    if scope["type"] == "http":
        if scope["path"] == "/eat":
            HEAVY.extend(b"x" * 10**9)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def may_lower_the_score() -> bool:
    """CAP_SYS_RESOURCE, which is bit 24 (capabilities(7))."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")]
    return bool(int(line.split()[1], 16) & 1 << 24)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs to have a choice")
def test_auto_is_what_the_quota_and_the_memory_limit_have_room_for(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with limited(memory_bytes=400 * MEBIBYTE, cpus=1.5) as group:
        with running("--workers", "auto", directory=tmp_path, command=group.command) as daemon:
            daemon.heard.expect("worker.ready", times=2)
            (sized,) = daemon.heard.named("fleet.sized")
            assert (sized["workers"], sized["cpus"], sized["limit_bytes"]) == (2, 2, 400 * MEBIBYTE)
            told = daemon.ctl("explain", "workers").stdout
            print(told)
            assert re.search(r"^auto +2, the least of$", told, re.MULTILINE)
            assert re.search(r"^ +2 by the cgroup quota 150000/100000 us in ", told, re.MULTILINE)
            assert re.search(r"^ +\d+ by memory: \d+ workers of [\d.]+ MiB .* at once in ", told, re.MULTILINE)
        large = {"HEAVY_BYTES": str(150 * MEBIBYTE)}
        with running("--workers", "auto", directory=tmp_path, command=group.command, env=large) as daemon:
            (sized,) = daemon.heard.expect("fleet.sized")
            assert sized["workers"] == 1, "two fit at once, and a reload needs both"
            assert daemon.ctl("reload").returncode == 0
            assert daemon.heard.expect("fleet.sized", times=2)[1]["workers"] == 1
            assert "worker.crashed" not in daemon.heard.names()
            asked = json.loads(daemon.ctl("explain", "workers", "--json").stdout)
            assert (asked["auto"], asked["cpus"], asked["workers"]) == (1, 2, {"target": 1, "ready": 1})


def test_what_the_kernel_kills_for_memory_is_a_worker_and_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with (
        limited(memory_bytes=300 * MEBIBYTE, cpus=2.0) as group,
        running("--workers", "2", directory=tmp_path, command=group.command) as daemon,
    ):
        daemon.heard.expect("worker.ready", times=2)
        score = {
            pid: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (daemon.pid, *daemon.pids().values())
        }
        with daemon.listening() as heard:
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                daemon.get("/eat")
            (crashed,) = heard.expect("worker.crashed")
            heard.expect("worker.ready", slot=crashed["slot"])
        assert "OOM killer" in str(crashed["reason"])
        assert daemon.get()[0] == 200
        master = score.pop(daemon.pid)
        own = int(Path("/proc/self/oom_score_adj").read_text())
        assert set(score.values()) == {own}
        assert master == (own - 500 if may_lower_the_score() and own >= 0 else own), "the master goes last, if it may"
