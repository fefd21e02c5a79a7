"""Deploys that switch a symlink: a reload follows it, a replaced worker stays with its generation."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.daemon import PID_APP, environment, running

PLACE = PID_APP.replace("{GENERATION}", "{os.getcwd()} {open('version').read()} {CODE}")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two releases, and `current`, which is the first."""
    for number in ("1", "2"):
        code = tmp_path / "releases" / number / "src"
        code.mkdir(parents=True)
        (code.parent / "version").write_text(f"data-{number}")
        for place in (code, code.parent):
            (place / "app.py").write_text(PLACE.replace("{CODE}", f"code-{number}"))
    switch(tmp_path, "1")
    return tmp_path


def switch(site: Path, number: str) -> None:
    """As deploy tools do it: the new link takes the place of the old one."""
    (site / "next").symlink_to(f"releases/{number}")
    (site / "next").replace(site / "current")


def served(body: str) -> list[str]:
    return body.split()[1:]


def expected(site: Path, number: str) -> list[str]:
    return [str(site / "releases" / number), f"data-{number}", f"code-{number}"]


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--no-template"], id="none"),
        pytest.param(["--workers", "2"], id="template"),
        pytest.param(["--workers", "2", "--preload"], id="preload"),
        pytest.param(["--app-dir", "src"], id="app-dir"),
        pytest.param(["--workers", "2", "--app-dir", "src"], id="app-dir of a template"),
    ],
)
def test_a_reload_enters_the_directory_anew(site: Path, flags: list[str]) -> None:
    current = site / "current"
    with running(*flags, directory=current, env={"PWD": str(current)}) as daemon:
        workers = 2 if "2" in flags else 1
        daemon.heard.expect("worker.ready", times=workers)
        assert served(daemon.get()[1]) == expected(site, "1")
        switch(site, "2")
        with daemon.listening() as heard:
            os.kill(daemon.pids()[1], signal.SIGKILL)
            heard.expect("worker.ready", slot=1)
        assert served(daemon.get()[1]) == expected(site, "1"), "half of a deploy"
        asked = daemon.ctl("reload")
        assert asked.returncode == 0, asked.stderr
        assert served(daemon.get()[1]) == expected(site, "2")
        with daemon.listening() as heard:
            assert daemon.ctl("scale", "+1").returncode == 0
            heard.expect("worker.ready")
        with daemon.listening() as heard:
            slot, pid = max(daemon.pids().items())
            os.kill(pid, signal.SIGKILL)
            heard.expect("worker.ready", slot=slot)
        assert {os.readlink(f"/proc/{pid}/cwd") for pid in daemon.pids().values()} == {str(site / "releases" / "2")}


@pytest.mark.parametrize("given", ["current", "absolute", "file"])
def test_chdir_is_where_each_generation_runs(site: Path, given: str) -> None:
    (site / "settings.toml").write_text('chdir = "current"\napp-dir = "src"\n')
    flags = {
        "current": ("--chdir", "current", "--app-dir", "src"),
        "absolute": ("--chdir", str(site / "current")),
        "file": ("--config", "settings.toml"),
    }[given]
    with running(*flags, directory=site) as daemon:
        daemon.heard.expect("worker.ready")
        assert served(daemon.get()[1]) == expected(site, "1")
        switch(site, "2")
        assert daemon.ctl("reload").returncode == 0
        assert served(daemon.get()[1]) == expected(site, "2")


def test_an_app_dir_that_is_a_symlink_is_followed_once_for_a_generation(site: Path) -> None:
    with running("--app-dir", str(site / "current" / "src"), directory=site / "releases" / "1") as daemon:
        daemon.heard.expect("worker.ready")
        switch(site, "2")
        with daemon.listening() as heard:
            os.kill(daemon.pids()[1], signal.SIGKILL)
            heard.expect("worker.ready")
        assert served(daemon.get()[1])[2] == "code-1"
        assert daemon.ctl("reload").returncode == 0
        assert served(daemon.get()[1])[2] == "code-2"


def test_a_directory_that_is_gone_is_told_and_a_replaced_worker_runs_in_the_next_one(site: Path) -> None:
    current = site / "current"
    with running("--workers", "2", directory=current, env={"PWD": str(current)}) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        switch(site, "2")
        shutil.rmtree(site / "releases" / "1")
        os.kill(daemon.pids()[1], signal.SIGKILL)
        (told,) = daemon.heard.expect("directory.gone", generation=1)
        assert (told["gone"], told["entered"]) == (str(site / "releases" / "1"), str(site / "releases" / "2"))
        daemon.heard.expect("worker.ready", times=3)


def test_a_reload_into_a_directory_that_is_gone_is_refused_by_name(site: Path) -> None:
    current = site / "current"
    with running(directory=current, env={"PWD": str(current)}) as daemon:
        daemon.heard.expect("worker.ready")
        current.unlink()
        asked = daemon.ctl("reload")
        assert asked.returncode == 1
        assert f"chdir: must be a directory that exists; {str(current)!r} is gone" in asked.stderr
        assert served(daemon.get()[1]) == expected(site, "1")


def test_a_start_in_a_directory_that_is_gone_is_refused_by_name(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'cd "{gone}" && rmdir "{gone}" && exec "{sys.executable}" -m supervisor_d run app:app'
    told = subprocess.run(["sh", "-c", script], env=environment(), capture_output=True, text=True, check=False)
    assert told.returncode == 2, told.stderr
    assert "chdir: the working directory is gone" in told.stderr


def test_the_configuration_is_that_of_the_new_release(site: Path) -> None:
    for number in ("1", "2"):
        (site / "releases" / number / "settings.toml").write_text(f"keep-alive = {number}0\n")
    current = site / "current"
    with running("--config", "settings.toml", directory=current, env={"PWD": str(current)}) as daemon:
        daemon.heard.expect("worker.ready")
        switch(site, "2")
        assert daemon.ctl("reload").returncode == 0
        assert "keep-alive" in daemon.ctl("config").stdout
        (row,) = [line for line in daemon.ctl("config").stdout.splitlines() if line.startswith("keep-alive")]
        assert "20" in row


@pytest.mark.parametrize("pwd", ["/", "relative", "", "current/../current"])
def test_a_pwd_that_is_not_the_working_directory_is_not_believed(site: Path, pwd: str) -> None:
    called = str(site / pwd) if pwd.startswith("current") else pwd
    with running(directory=site / "current", env={"PWD": called}) as daemon:
        daemon.heard.expect("worker.ready")
        switch(site, "2")
        assert daemon.ctl("reload").returncode == 0
        assert served(daemon.get()[1]) == expected(site, "1")


def test_relative_files_are_those_of_the_directory_that_is_entered(site: Path) -> None:
    with running("--chdir", "current", "--access-log", "access.log", directory=site) as daemon:
        daemon.heard.expect("worker.ready")
        assert daemon.get()[0] == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert "GET / HTTP/1.1" in (site / "releases" / "1" / "access.log").read_text()
    assert not (site / "access.log").exists()


def test_init_prints_the_path_with_its_symlink(site: Path) -> None:
    current = site / "current"
    command = [sys.executable, "-m", "supervisor_d", "init", "systemd", "app:app"]
    env = environment({"PWD": str(current)})
    printed = subprocess.run(command, cwd=current, env=env, capture_output=True, text=True, check=True).stdout
    assert f"WorkingDirectory={current}\n" in printed
    assert f"--chdir {current}" in printed


def test_check_boots_where_a_worker_would(site: Path) -> None:
    command = [sys.executable, "-m", "supervisor_d", "check", "app:app", "--chdir", "current", "--app-dir", "src"]
    told = subprocess.run(command, cwd=site, env=environment(), capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
