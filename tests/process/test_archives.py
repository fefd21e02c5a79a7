"""Archives as shiv and pex make them: workers find in them what the program that was started finds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.daemon import PID_APP, REPOSITORY, environment, running
from tests.helpers.deadline import GENEROUS_S

MAIN: Final = """
import sys
def start():
    import supervisor_d
    control = sys.argv[sys.argv.index("--control-socket") + 1]
    supervisor_d.run("main:app", workers=2, bind="127.0.0.1:0", log_format="json", control_socket=control)
""" + PID_APP.replace("{GENERATION}", "{__file__}")
"""An application with an entry point of its own."""
NEEDED: Final = ("click", "h11", "httptools", "psutil", "structlog", "uvloop", "websockets")
SCRIPT: Final = "[console_scripts]\nsupervisor-d = supervisor_d.__main__:main\n"
WITHOUT_INTERPRETER: Final = 'archive=$1; shift 4; exec "$0" "$archive" "$@"'
"""Starts an archive with what follows `python -m supervisor_d`."""


def packages(place: Path) -> Path:
    """A site-packages with the daemon, what it needs, and an application."""
    place.mkdir()
    hidden = shutil.ignore_patterns("__pycache__")
    for name in ("server_core", "supervisor_d"):
        shutil.copytree(REPOSITORY / name, place / name, ignore=hidden)
    for name in NEEDED:
        root = Path(str(distribution(name).locate_file("")))
        shutil.copytree(root / name, place / name, ignore=hidden)
    (place / "main.py").write_text(MAIN)
    (place / "supervisor_d-0.dist-info").mkdir()
    (place / "supervisor_d-0.dist-info" / "entry_points.txt").write_text(SCRIPT)
    (place / "supervisor_d-0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: supervisor-d\nVersion: 0\n"
    )
    return place


def archive(tool: str, directory: Path, entry: str) -> Path:
    """An archive whose program is this entry point; `supervisor-d` is the console script."""
    if find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    made, source = directory / f"app.{tool}", packages(directory / "packages")
    if tool == "shiv":
        which = ["-c", entry] if ":" not in entry else ["-e", entry]
        command = ["shiv", "--site-packages", str(source), "-o", str(made), *which]
    else:
        where = "supervisor_d.__main__:main" if ":" not in entry else entry
        command = ["pex", "--no-pypi", "-D", str(source), "-o", str(made), "-e", where]
    env = environment({"PEX_ROOT": str(directory / "pex"), "SHIV_ROOT": str(directory / "shiv")})
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True, text=True, timeout=4 * GENEROUS_S, env=env, cwd=directory, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(source)  # nothing is found but what is in the archive
    return made


@pytest.mark.parametrize("entry", ["main:start", "supervisor-d"])
@pytest.mark.parametrize("tool", ["shiv", "pex"])
def test_workers_of_an_archive_find_what_is_in_it(tool: str, entry: str, tmp_path: Path) -> None:
    made, elsewhere = archive(tool, tmp_path, entry), tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, str(made)]
    if entry == "supervisor-d":
        command = ["sh", "-c", WITHOUT_INTERPRETER, *command]
    env = {"PYTHONPATH": "", "PEX_ROOT": str(tmp_path / "pex"), "SHIV_ROOT": str(tmp_path / "shiv")}
    with running("--workers", "2", app="main:app", directory=elsewhere, command=command, env=env) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert str(tmp_path) in daemon.get()[1].split()[1]
        asked = daemon.ctl("reload")
        assert asked.returncode == 0, asked.stderr
        assert daemon.get()[0] == 200
