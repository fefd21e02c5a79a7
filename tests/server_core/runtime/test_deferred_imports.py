"""What a library would import on its first use is there before the first request, if the library is there at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server_core.runtime.deferred_imports import LATE


def told_by(code: str) -> str:
    """What a fresh interpreter prints."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("present", ["anyio"])
def test_it_is_imported_with_the_library(present: str) -> None:
    code = (
        f"import sys, {present}; from server_core.runtime.deferred_imports import import_late;"
        f"import_late(); print({LATE[present]!r} in sys.modules)"
    )
    assert told_by(code) == "True"


def test_nothing_is_imported_for_a_library_that_is_not_used() -> None:
    code = (
        "import sys; from server_core.runtime.deferred_imports import import_late; import_late();"
        "print([name for name in sys.modules if name.startswith('anyio')])"
    )
    assert told_by(code) == "[]"


def test_a_module_that_is_no_more_is_not_missed() -> None:
    code = (
        "import sys; from server_core.runtime import deferred_imports;"
        "deferred_imports.LATE = {'sys': 'sys.no.more', 'os': 'json'};"
        "deferred_imports.import_late(); print('json' in sys.modules)"
    )
    assert told_by(code) == "True"


def test_a_module_that_cannot_be_imported_is_left_to_its_library() -> None:
    code = (
        "import sys, types, importlib.abc, importlib.machinery; from server_core.runtime import deferred_imports\n"
        "class Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        return importlib.machinery.ModuleSpec(name, self) if name == 'broken' else None\n"
        "    def exec_module(self, module): raise RuntimeError('of no use')\n"
        "sys.meta_path.insert(0, Broken()); deferred_imports.LATE = {'sys': 'broken'}\n"
        "deferred_imports.import_late(); print('survived')"
    )
    assert told_by(code) == "survived"
