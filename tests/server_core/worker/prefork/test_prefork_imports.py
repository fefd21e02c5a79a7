"""What a template imports of the standard library is whole, harmless, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server_core.worker.prefork.prefork_imports import EARLY, forget_young_folders, shadowed

SCRIPT = """
import sys
import server_core.worker.bootstrap, server_core.worker.prefork.template
from server_core.worker.prefork.prefork_imports import import_early
before = set(sys.modules)
import_early(sys.argv[1], sys.path)
print(*(set(sys.modules) - before))
assert server_core.worker.prefork.template.unforkable((), "this") is None
"""


def imported(app_dir: Path) -> set[str]:
    """What a fresh interpreter has in memory more after it."""
    command = [sys.executable, "-P", "-c", SCRIPT, str(app_dir)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_every_module_is_in_the_standard_library() -> None:
    assert {name.partition(".")[0] for name in EARLY} <= sys.stdlib_module_names


def test_all_that_comes_is_in_the_table_and_leaves_nothing_that_cannot_be_forked(tmp_path: Path) -> None:
    public = {name for name in imported(tmp_path) if not name.startswith("_")}
    tops = {name.partition(".")[0] for name in EARLY} | {"email", "http"}
    tops |= {"quopri", "encodings"}  # with email, from 3.13 on; the codec for ASCII, from 3.15 on
    assert {name for name in public if name.partition(".")[0] not in tops} == set()
    assert "uuid" in public


@pytest.mark.parametrize("name", ["secrets.py", "html/__init__.py", "platform.py"])
def test_an_application_with_a_module_by_such_a_name_gets_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    assert imported(tmp_path) == set()


def test_the_listing_of_a_folder_that_was_just_written_to_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    young, old, gone = tmp_path / "young", tmp_path / "old", tmp_path / "gone"
    monkeypatch.setattr(sys, "path_importer_cache", {str(path): None for path in (young, old, gone)})
    young.mkdir()
    old.mkdir()
    os.utime(old, (1e9, 1e9))
    forget_young_folders()
    assert set(sys.path_importer_cache) == {str(old)}


def test_shadows_are_named(tmp_path: Path) -> None:
    (tmp_path / "http.py").write_text("")
    assert shadowed(["http.client", "uuid", "no_such_module"], [str(tmp_path), *sys.path]) == ["http.client"]
