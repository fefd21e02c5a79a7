"""What a master imports before its first worker is started, and that the rest is there soon after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from supervisor_d.deferred_imports import LATE

ROOT = Path(__file__).parents[2]

NOT_BEFORE = ("h11", "psutil", "difflib", "http", "tomllib", "structlog", "asyncio", "ssl", *LATE)
"""Whoever finds one of these imported by a master's start has made every start longer: see deferred_imports.py."""

STARTED = """
import os, sys
from supervisor_d.host.processes import process_table
def told(*_):
    sys.stdout.write(" ".join(sys.modules))
    sys.stdout.flush()
    os._exit(0)
{moment}
from supervisor_d.__main__ import main
sys.argv[1:] = ["run", "tests.apps.gated:app", "--bind", "127.0.0.1:0", "--control-socket", "off"]
main()
"""


def modules_when(moment: str) -> set[str]:
    """What a master has imported when this is called; the worker that is there then goes by itself."""
    code = STARTED.format(moment=moment)
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(told.stdout.split())


def test_the_first_worker_does_not_wait_for_what_a_master_needs_later() -> None:
    loaded = modules_when("process_table.ProcessTable.spawn = told")
    assert {"supervisor_d.policy.supervisor", "click"} <= loaded, "the master does not tell"
    assert loaded.intersection(NOT_BEFORE) == set()


def test_all_of_it_is_imported_before_anybody_asks_for_it() -> None:
    soon = "from supervisor_d import daemon; daemon.AFTER_S = 0; import_late = daemon.import_late"
    after = "daemon.import_late = lambda: (import_late(), told())"
    assert set(LATE) | {"h11", "psutil"} <= modules_when(f"{soon}; {after}")
