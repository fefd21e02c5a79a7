"""Which files count as saved, and when a batch of them is whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from supervisor_d.watcher import counts, polled


@pytest.mark.parametrize(
    ("name", "is_save"),
    [
        ("app.py", True),
        ("shop/models.py", True),
        ("templates/base.html", False),
        ("shop/test_models.py", False),
        ("shop/__pycache__/models.cpython-311.pyc", False),
        ("shop/__pycache__/models.py", False),
        (".git/hooks/pre.py", False),
        (".app.py.swp", False),
        (".#app.py", False),
        ("#app.py#", False),
        ("app.py~", False),
        ("app.pyc", False),
        ("4913", False),
    ],
)
def test_what_editors_and_python_write_is_no_save(name: str, is_save: bool) -> None:
    assert counts(f"/srv/.hidden/{name}", "/srv/.hidden", ["*.py"], ["test_*"]) is is_save


def test_what_is_included_besides_counts() -> None:
    assert counts("/srv/templates/base.html", "/srv", ["*.py", "templates/*.html"], [])
    assert not counts("/srv/other/base.html", "/srv", ["*.py", "templates/*.html"], [])


def test_files_that_change_together_are_one_batch(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("1")

    class Pause(threading.Event):
        """Changes the files while the watcher rests, once each."""

        steps = iter(("a", "b", "c", "rest"))

        def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - Event has it
            step = next(self.steps)
            if step == "c":
                (tmp_path / "a.py").unlink()
            elif step != "rest":
                os.utime(tmp_path / f"{step}.py", (1, 1))
            return False

    batches = polled([str(tmp_path)], 0.01, Pause())
    assert next(batches) == set()
    assert next(batches) == {str(tmp_path / "a.py"), str(tmp_path / "b.py")}
