"""What a daemon gives the processes of an application besides its settings: variables, an import path, a umask."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from tests.helpers.daemon import running

APP = """
import json, os, sys
import wheel_of_fortune
async def app(scope, receive, send):
    if scope["type"] == "http":
        umask = os.umask(0)
        os.umask(umask)
        told = {"umask": umask, "path": sys.path[:3], "wheel": wheel_of_fortune.__file__, "env": dict(os.environ)}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


def project(directory: Path) -> None:
    (directory / "app.py").write_text(APP)
    (directory / "wheel_of_fortune.py").write_text("")
    for name in ("first", "second"):
        (directory / name).mkdir()
        (directory / name / "wheel_of_fortune.py").write_text("")


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--workers", "2", "--preload")])
def test_workers_have_variables_path_and_umask(tmp_path: Path, flags: tuple[str, ...]) -> None:
    project(tmp_path)
    (tmp_path / "shop.env").write_text("SHOP='corner'\nKEPT=file\nTZ=Asia/Tokyo\n")
    with running(
        *("--env-file", "shop.env", "--pythonpath", "first", "--pythonpath", "second", "--umask", "027"),
        *flags,
        directory=tmp_path,
        env={"KEPT": "environment"},
    ) as daemon:
        daemon.heard.expect("worker.ready", times=2 if flags else 1)
        told = json.loads(daemon.get()[1])
        assert told["umask"] == 0o027
        assert told["path"] == [str(tmp_path / "first"), str(tmp_path / "second"), str(tmp_path)]
        assert told["wheel"] == str(tmp_path / "first" / "wheel_of_fortune.py")
        assert {name: told["env"].get(name) for name in ("SHOP", "KEPT", "TZ")} == {
            "SHOP": "corner",
            "KEPT": "environment",
            "TZ": "Asia/Tokyo",
        }
        assert "SHOP" not in Path(f"/proc/{daemon.pid}/environ").read_text()


def test_a_reload_reads_the_variables_again_and_a_broken_file_is_no_reload(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "shop.env").write_text("SHOP=corner\n")
    with running("--env-file", "shop.env", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        (tmp_path / "shop.env").write_text("SHOP='open\n")
        with daemon.listening() as heard:
            daemon.signal(signal.SIGHUP)
            (failed,) = heard.expect("reload.rolled_back")
        assert f"env-file: {tmp_path}/shop.env, line 1: the value begins with ' and never ends" in str(failed["reason"])
        assert json.loads(daemon.get()[1])["env"]["SHOP"] == "corner"
        (tmp_path / "shop.env").write_text("SHOP=high street\n")
        with daemon.listening() as heard:
            daemon.signal(signal.SIGHUP)
            heard.expect("reload.committed")
        assert json.loads(daemon.get()[1])["env"]["SHOP"] == "high street"


@pytest.mark.parametrize(
    ("flags", "mode"), [((), 0o660), (("--umask", "0"), 0o777), (("--umask", "7", "--unix-mode", "600"), 0o600)]
)
def test_a_unix_socket_has_the_mode_that_the_umask_leaves(tmp_path: Path, flags: tuple[str, ...], mode: int) -> None:
    project(tmp_path)
    with running(*flags, directory=tmp_path, bind=f"unix:{tmp_path}/shop.sock") as daemon:
        daemon.heard.expect("worker.ready")
        assert stat.S_IMODE(os.stat(tmp_path / "shop.sock").st_mode) == mode


def test_the_pid_file_is_there_while_the_master_is(tmp_path: Path) -> None:
    project(tmp_path)
    with running("--pid-file", "shop.pid", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        assert (tmp_path / "shop.pid").read_text() == f"{daemon.pid}\n"
        with running("--pid-file", "shop.pid", directory=tmp_path) as second:
            assert second.wait() == 2
            assert f"shop.pid names process {daemon.pid}, which is running" in second.transcript()
        assert (tmp_path / "shop.pid").read_text() == f"{daemon.pid}\n"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert not (tmp_path / "shop.pid").exists()
