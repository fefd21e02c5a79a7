"""Workers find the modules that the program which started the daemon finds: scripts, folders put in front, archives."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import click
import httptools
import pytest

from tests.helpers.daemon import PID_APP, REPOSITORY, running

CALL = """
import sys
import besides
sys.path.insert(0, VENDOR)
import vendored
if __name__ == "__main__":
    import supervisor_d
    control = sys.argv[sys.argv.index("--control-socket") + 1]
    supervisor_d.run("main:app", workers=2, bind="127.0.0.1:0", log_format="json", control_socket=control)
""" + PID_APP.replace("{GENERATION}", "{__file__} {vendored.__file__}")
"""A program that is its own application. The rest of the command line, which is that of a test's daemon, is ignored."""

FROZEN = """
import sys
sys.path[:] = [each for each in sys.path if "packages" not in each]
sys.path += {path}
del sys.argv[1:4]  # the interpreter and -m supervisor_d
from supervisor_d.__main__ import main
main()
"""
"""What shiv and pex do: a program that adds its packages to the path of an interpreter that has none."""


def program(directory: Path, vendor: str) -> None:
    """main.py, beside it modules whose names are the standard library's, and what it puts on its path."""
    (directory / "vendor").mkdir(parents=True)
    (directory / "main.py").write_text(CALL.replace("VENDOR", vendor))
    for name in ("besides.py", "vendor/vendored.py", "queue.py", "statistics.py"):
        (directory / name).write_text("")


@pytest.mark.parametrize(
    "vendor",
    [
        pytest.param("__file__.rpartition('/')[0] + '/vendor'", id="as called"),
        pytest.param("__import__('os').path.realpath(__file__).rpartition('/')[0] + '/vendor'", id="resolved"),
    ],
)
def test_a_script_elsewhere_and_what_it_puts_on_its_path_follow_a_deploy(tmp_path: Path, vendor: str) -> None:
    for number in ("1", "2"):
        program(tmp_path / "releases" / number, vendor)
    current, elsewhere = tmp_path / "current", tmp_path / "elsewhere"
    current.symlink_to("releases/1")
    elsewhere.mkdir()
    (elsewhere / "main.py").write_text("raise LookupError('the wrong one')")
    with running(directory=elsewhere, command=[sys.executable, str(current / "main.py")]) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        release = tmp_path / "releases" / "1"
        assert daemon.get()[1].split()[1:] == [f"{release}/main.py", f"{release}/vendor/vendored.py"]
        (tmp_path / "next").symlink_to("releases/2")
        (tmp_path / "next").replace(current)
        asked = daemon.ctl("reload")
        assert asked.returncode == 0, asked.stderr
        release = tmp_path / "releases" / "2"
        assert daemon.get()[1].split()[1:] == [f"{release}/main.py", f"{release}/vendor/vendored.py"]


def test_an_archive_is_searched_by_workers_wherever_it_was_started(tmp_path: Path) -> None:
    archive, elsewhere = tmp_path / "app.pyz", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("__main__.py", "import runpy; runpy.run_module('main', run_name='__main__')")
        packed.writestr("main.py", CALL.replace("VENDOR", "'absent'"))
        packed.writestr("besides.py", "")
        packed.writestr("vendored.py", "")
    with running(directory=elsewhere, command=[sys.executable, "../app.pyz"]) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert daemon.get()[1].split()[1:] == [f"{archive}/main.py", f"{archive}/vendored.py"]


@pytest.mark.parametrize("flags", [("--workers", "1"), ("--workers", "2", "--preload")], ids=["alone", "preload"])
def test_a_worker_runs_the_server_of_a_program_that_brings_its_own(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """An isolated interpreter knows none of it, and what it would find by itself is not what the program has."""
    (tmp_path / "app.py").write_text("import server_core\n" + PID_APP.replace("{GENERATION}", "{server_core.__file__}"))
    code = tmp_path / "code"
    code.mkdir()
    for package in ("server_core", "supervisor_d"):
        (code / package).symlink_to(REPOSITORY / package)
    packages = {str(Path(module.__file__ or "").parents[1]) for module in (click, httptools)}
    (tmp_path / "frozen").write_text(FROZEN.format(path=[str(code), *packages]))
    command = [sys.executable, "-I", "-S", str(tmp_path / "frozen")]
    with running(*flags, directory=tmp_path, command=command) as daemon:
        daemon.heard.expect("worker.ready")
        assert daemon.get()[1].split()[1] == str(code / "server_core" / "__init__.py")
    checked = [sys.executable, "-I", "-S", str(tmp_path / "frozen"), "-", "-m", "-", "check", "app:app"]
    done = subprocess.run(checked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
