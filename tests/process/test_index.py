"""`SUPERVISOR_D_INDEX` is 0 to N-1 among the workers, whatever slots they have, and stays with who follows."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.helpers.daemon import Daemon, running

APP = """
import json, os
AT_IMPORT = os.environ.get("SUPERVISOR_D_INDEX")
async def app(scope, receive, send):
    if scope["type"] == "http":
        told = json.dumps([os.getpid(), AT_IMPORT, os.environ["SUPERVISOR_D_INDEX"]])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told.encode()})
"""


def indexes(daemon: Daemon) -> dict[int, int]:
    """The pid that has each index, of those that serve; each has another one."""
    slots = daemon.status()["slots"]
    assert isinstance(slots, list)
    ready = [slot for slot in slots if slot["state"] == "ready"]
    found = {slot["index"]: slot["pid"] for slot in ready}
    assert len(found) == len(ready), slots
    return found


def check(daemon: Daemon, count: int, *, is_known_at_import: bool) -> dict[int, int]:
    """The same, when there are 0 to count-1, and a worker says the same of itself."""
    found = indexes(daemon)
    assert sorted(found) == list(range(count))
    pid, at_import, index = json.loads(daemon.get()[1])
    assert found[int(index)] == pid
    assert at_import == (index if is_known_at_import else None)
    return found


@pytest.mark.parametrize("preload", [False, True])
def test_an_index_stays_over_a_restart_a_crash_a_scaling_and_a_reload(tmp_path: Path, preload: bool) -> None:
    (tmp_path / "app.py").write_text(APP)
    flags = ("--preload",) if preload else ()
    # A zygote imports for all, and has no index itself; nor has anybody the one of a daemon that this one runs in.
    inherited = {"SUPERVISOR_D_INDEX": "7", "SUPERVISOR_D_SLOT": "8"}
    with running("--workers", "2", "--soak", "0", *flags, directory=tmp_path, env=inherited) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        first = check(daemon, 2, is_known_at_import=not preload)
        assert daemon.ctl("restart", "1").returncode == 0  # its replacement has slot 3, which is the highest
        replaced = check(daemon, 2, is_known_at_import=not preload)
        assert (replaced[0] != first[0], replaced[1]) == (True, first[1])
        with daemon.listening() as heard:
            os.kill(replaced[0], signal.SIGKILL)
            heard.expect("worker.ready")
        crashed = check(daemon, 2, is_known_at_import=not preload)
        with daemon.listening() as heard:
            assert daemon.ctl("scale", "3").returncode == 0
            heard.expect("worker.ready")
        grown = check(daemon, 3, is_known_at_import=not preload)
        assert {index: grown[index] for index in (0, 1)} == crashed
        with daemon.listening() as heard:
            assert daemon.ctl("scale", "2").returncode == 0
            heard.expect("worker.exited", pid=grown[2])
        assert check(daemon, 2, is_known_at_import=not preload) == crashed
        assert daemon.ctl("reload").returncode == 0
        reloaded = check(daemon, 2, is_known_at_import=not preload)
        assert not set(reloaded.values()) & set(crashed.values())
