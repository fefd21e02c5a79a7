"""The command that runs the suite elsewhere: what it takes along, and what it makes of a run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.interpreters.pip_settings import document, parse, paths
from tests.interpreters.report import Outcome, page
from tests.interpreters.system import ENTER, copied


def test_the_settings_of_pip_are_taken_along_and_variables_win() -> None:
    listed = ":env:.timeout='180'\nglobal.timeout='15'\nglobal.extra-index-url='\\nfile:///a\\nfile:///b'\nnoise\n"
    settings = parse(listed)
    assert document(settings) == "[global]\nextra-index-url = file:///a file:///b\ntimeout = 180\n"


def test_what_the_settings_name_on_this_machine_is_shared(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "pypi" / "simple").mkdir(parents=True)
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "all.crt").touch()
    settings = {
        "find-links": f"{tmp_path}/wheels",
        "extra-index-url": f"file://{tmp_path}/pypi/simple file://{tmp_path}/none/simple https://index.invalid/simple",
        "cert": f"{tmp_path}/certificates/all.crt",
        "timeout": "180",
    }
    names = ("certificates/all.crt", "pypi", "wheels")
    assert paths(settings) == [tmp_path / name for name in names]
    assert paths({"cert": "/etc/ssl/none.crt", "index-url": "https://index.invalid/simple"}) == []


def test_a_run_is_read_from_its_report(tmp_path: Path) -> None:
    (tmp_path / "test_all.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 0\n"
        "@pytest.mark.skip(reason='no moon')\n"
        "def test_late(): pass\n"
        "@pytest.fixture\ndef broken(): raise ValueError\n"
        "def test_without(broken): pass\n"
    )
    report = tmp_path / "report.xml"
    command = [
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        f"--junit-xml={report}",
        "test_all.py",
    ]
    subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, check=False, capture_output=True)
    outcome = Outcome.read(report, "3.15.2", "a system", "as it is")
    assert (outcome.passed, len(outcome.failed), dict(outcome.skipped)) == (1, 2, {"no moon": 1})
    told = page([outcome])
    assert "| 3.15.2 | as it is | a system | 1 | 2 | 1 |" in told
    assert "- failed: test_all::test_bad" in told
    assert "- skipped 1: no moon" in told


def test_a_run_that_left_no_report_showed_nothing(tmp_path: Path) -> None:
    assert Outcome.read(tmp_path / "none.xml", "3.15", "a system", "as it is").is_empty


def test_the_copy_has_what_is_not_committed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    subprocess.run(["git", "init", "-q", str(source)], check=True)
    for name in ("kept", "changed", "removed"):
        (source / name).write_text("old")
    git = ["git", "-C", str(source), "-c", "user.name=x", "-c", "user.email=x@x.invalid"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    (source / "changed").write_text("new")
    (source / "removed").unlink()
    (source / "added").write_text("new")
    copy = copied(source, tmp_path / "copy")
    found = {path.name: path.read_text() for path in copy.iterdir() if path.is_file()}
    assert found == {"kept": "old", "changed": "new", "added": "new"}


ORPHANS: Final = """\
import os, subprocess
orphan = int(subprocess.run(["sh", "-c", "sleep 0 >/dev/null & echo $!"], stdout=subprocess.PIPE).stdout)
while os.path.exists(f"/proc/{orphan}"):
    os.sched_yield()
raise SystemExit(7)
"""


def test_what_the_suite_orphans_in_a_system_is_reaped(tmp_path: Path) -> None:
    """Were the suite PID 1, its daemons' orphans would stay zombies, and tests wait for processes to be gone."""
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("no namespaces can be made here")
    command = [*unshare, "sh", "-c", ENTER.format(root=""), "sh", sys.executable, "-c", ORPHANS]
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ROOT": "/", "WHERE": str(tmp_path), "SHARED": ""}
    assert subprocess.run(command, env=environ, check=False, timeout=60).returncode == 7
