"""More workers than the machine can boot at once: few boot at a time, and the master hears everything meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from supervisor_d.settings.policy_terms import BIRTHS_MIN, BIRTHS_PER_CPU, most_workers
from supervisor_d.settings.values.capacity import usable_cpus
from tests.helpers.daemon import running

APP = """
import os

# The first worker boots by itself; every other one computes until the gate is open.
gate = os.environ["GATE"]
if os.environ["FIRST"] != "":
    try:
        os.close(os.open(os.environ["FIRST"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        while not os.path.exists(gate):
            sum(range(10_000))

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
"""

BIRTHS = max(BIRTHS_MIN, BIRTHS_PER_CPU * usable_cpus().count)
WANTED = 2 * BIRTHS + 2


@pytest.mark.parametrize("template", ["--template", "--no-template"])
def test_few_boot_at_a_time_and_ctl_and_term_are_obeyed_before_they_have(tmp_path: Path, template: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    gate = tmp_path / "gate"
    env = {"GATE": str(gate), "FIRST": str(tmp_path / "first")}
    with running("--workers", "1", template, "--log-level", "debug", directory=tmp_path, env=env) as daemon:
        daemon.heard.expect("worker.ready")
        assert daemon.ctl("scale", "--force", str(WANTED)).returncode == 0
        daemon.heard.expect("worker.booted", times=1 + BIRTHS)
        status = daemon.status()  # answered while all of them compute
        assert status["workers"] == {"target": WANTED, "ready": 1}
        slots = status["slots"]
        assert isinstance(slots, list)
        assert len(slots) == 1 + BIRTHS
        if template == "--template":  # a look at the memory of who boots waits for its lock, and holds the master up
            forking = status["template"]
            assert isinstance(forking, dict)
            assert forking["saved_bytes"] is None
        assert daemon.get() == (200, "served")
        gate.touch()
        daemon.heard.expect("worker.ready", times=WANTED)
        spawned = daemon.heard.names()
        assert spawned.index("worker.ready") < spawned.index("fleet.scaled")

        gate.unlink()
        assert daemon.ctl("scale", "--force", str(WANTED + BIRTHS)).returncode == 0
        daemon.heard.expect("worker.booted", times=WANTED + BIRTHS)
        with daemon.listening() as heard:
            daemon.signal(signal.SIGTERM)
            heard.expect("stop.requested")
            assert daemon.wait() == 0
            assert "worker.ready" not in heard.names()


def test_a_typo_is_refused_with_the_bound_and_what_goes_beyond_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    env = {"GATE": os.devnull, "FIRST": ""}
    most = most_workers(usable_cpus().count)
    with running("--workers", "1", directory=tmp_path, env=env) as daemon:
        daemon.heard.expect("worker.ready")
        refused = daemon.ctl("scale", "1000")
        assert refused.returncode == 1
        assert f"workers: must be at most {most} (max-workers), not 1000; ctl scale --force" in refused.stderr
        daemon.heard.expect("fleet.scale_refused", wanted=1000, target=1)
    with running("--workers", "1", "--max-workers", "1", directory=tmp_path, env=env) as daemon:
        daemon.heard.expect("worker.ready")
        daemon.signal(signal.SIGTTIN)
        daemon.heard.expect("fleet.scale_refused", wanted=2, target=1)
        assert daemon.ctl("scale", "+1").returncode == 1
        assert daemon.ctl("scale", "--force", "+1").returncode == 0
        daemon.heard.expect("worker.ready", times=2)
