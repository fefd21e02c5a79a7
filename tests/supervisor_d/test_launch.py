"""What a Python call and the command line share: refusals on standard error, and exit codes."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import supervisor_d
from supervisor_d.errors import ConfigurationError, ListenerError
from supervisor_d.launch import complain, launch
from supervisor_d.settings.sources.provenance import Origin


def test_every_problem_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain(ConfigurationError("workers: no", "bind: no"))
    complain(ListenerError("127.0.0.1:1: permission denied"))
    assert capsys.readouterr().err.splitlines() == [
        "supervisor-d: workers: no",
        "supervisor-d: bind: no",
        "supervisor-d: 127.0.0.1:1: permission denied",
    ]


def test_refused_settings_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch({"app": "main:app", "workers": "0"}, Origin.FLAG) == 2
    assert capsys.readouterr().err == "supervisor-d: workers: must be at least 1, not 0 (flag --workers)\n"


def test_run_from_python_raises_the_exit_code_and_names_an_unknown_keyword(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        supervisor_d.run("main:app", worker=4, timeout=0.5)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "supervisor-d: worker: unknown; did you mean workers or max_workers? (argument)",
        "supervisor-d: timeout: must be 0 (off) or at least 1s, not 0.5s (argument timeout)",
    ]


def test_run_inside_of_a_worker_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("server_core.worker.__main__", None))
    with pytest.raises(RuntimeError, match='__name__ == "__main__"'):
        supervisor_d.run("main:app")


def test_importing_the_package_imports_nothing_but_its_version() -> None:
    # __future__ may be there before: an editable installation's finder has imported it.
    begin, end = "import __future__, sys; before = set(sys.modules)", "print(sorted(set(sys.modules) - before))"
    code = f"{begin}; import supervisor_d; {end}"
    root = Path(__file__).parents[2]
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout == "['supervisor_d', 'supervisor_d._version']\n"
