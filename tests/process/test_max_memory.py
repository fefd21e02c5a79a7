"""`--max-memory` on workers that really grow, 40 MiB a second against a limit of 120: what they are when replaced."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Final

from tests.helpers.daemon import REPOSITORY, running

LIMIT_MIB: Final = 120
MOST_MIB: Final = 600
"""Where the application stops growing. Looked at every 30 s it would be found there."""

STEPS: Final = frozenset(("worker.spawned", "worker.ready", "worker.draining"))


def test_workers_that_grow_fast_are_found_soon_and_replaced_one_after_the_other(tmp_path: Path) -> None:
    env = {"MIB_A_SECOND": "40", "MIB_AT_MOST": str(MOST_MIB)}
    flags = ("--workers", "2", "--max-memory", f"{LIMIT_MIB}M", "--app-dir", str(REPOSITORY / "tests" / "apps"))
    with running(*flags, app="growing:app", directory=tmp_path, env=env) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        recycled = daemon.heard.expect("worker.recycled", times=2)
        for event in recycled:
            found = re.fullmatch(rf"max-memory {LIMIT_MIB << 20} bytes reached: (\d+)", str(event["reason"]))
            assert found is not None, event
            assert LIMIT_MIB << 20 <= int(found[1]) < (MOST_MIB - LIMIT_MIB) << 20, daemon.transcript()
        daemon.heard.expect("worker.draining", times=2)
        first, second = (event["pid"] for event in daemon.heard.named("worker.draining")[:2])
        assert first != second
        steps = [event["event"] for event in daemon.events if event["event"] in STEPS and "role" not in event]
        one = ["worker.spawned", "worker.ready", "worker.draining"]
        assert steps[4:10] == one * 2, daemon.transcript()  # a worker's successor, and only then the other's
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
