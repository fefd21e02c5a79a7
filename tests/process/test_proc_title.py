"""`--proc-title` in ps(1): of the master, of a template or zygote, and of workers that were spawned or forked.

Read where ps(1) reads it, since a minimal Debian has no ps.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.daemon import PID_APP, Daemon, running


def shown(pid: int) -> tuple[str, str]:
    """What ps(1) shows as the command, and the name."""
    arguments = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").replace("\0", " ")
    return arguments, Path(f"/proc/{pid}/comm").read_text().strip()


def zygote(daemon: Daemon) -> int:
    (event,) = daemon.heard.expect("worker.spawned", role="zygote")
    return int(str(event["pid"]))


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--workers", "2", "--preload")])
def test_processes_show_the_title_and_their_roles(tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--proc-title", "corner shop", *flags, directory=tmp_path) as daemon:
        ready = daemon.heard.expect("worker.ready", times=2 if flags else 1)
        assert shown(daemon.pid) == ("corner shop: master", "corner shop: ma")
        for event in ready:
            title = f"corner shop: worker {event['slot']} (generation 1)"
            assert shown(int(str(event["pid"]))) == (title, title[:15])
        if "--preload" in flags:
            assert shown(zygote(daemon))[0] == "corner shop: zygote (generation 1)"
        assert daemon.get()[0] == 200


def test_without_it_the_arguments_stay(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running(directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        assert " run app:app " in shown(daemon.pid)[0]
