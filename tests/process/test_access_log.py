"""The access log of a daemon: one file for all workers, opened anew at SIGUSR1, complete when it has stopped."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.helpers.daemon import PID_APP, running


def test_the_lines_of_all_workers_are_in_one_file_and_usr1_opens_it_anew(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    flags = ("--workers", "2", "--access-log", "access.log", "--access-log-format", "json")
    with running(*flags, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        for number in range(20):
            assert daemon.get(f"/before/{number}")
        path.rename(moved)
        with daemon.listening() as heard:
            daemon.signal(signal.SIGUSR1)
            heard.expect("log.reopened")
        for number in range(20):
            assert daemon.get(f"/after/{number}")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    told = [json.loads(line) for file in (moved, path) for line in file.read_text().splitlines()]
    asked = [f"/before/{number}" for number in range(20)] + [f"/after/{number}" for number in range(20)]
    assert sorted(str(line["target"]) for line in told) == sorted(asked)
    assert {line["slot"] for line in told} <= {1, 2}
    assert {line["generation"] for line in told} == {1}
    assert not [line for line in path.read_text().splitlines() if "/before/" in line]


def test_an_access_log_in_no_directory_and_an_unknown_atom_are_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    flags = ("--access-log", "none/access.log", "--access-log-format", "common")
    with running(*flags, directory=tmp_path) as refused:
        assert refused.wait() == 2
        missing = tmp_path / "none"
        assert f"access-log: must be in a directory that exists, and '{missing}' does not" in refused.transcript()
    with running("--access-log-format", "%(h)s %(nonsense)s", directory=tmp_path) as refused:
        assert refused.wait() == 2
        assert "access-log-format: unknown atom %(nonsense)s" in refused.transcript()
