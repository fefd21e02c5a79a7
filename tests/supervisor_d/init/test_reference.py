"""The files in contrib are the ones that `init` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.init.reference import files, write

CONTRIB = Path(__file__).parents[3] / "contrib"


@pytest.mark.parametrize("name", sorted(files()))
def test_a_generated_file_is_current(name: str) -> None:
    found = (CONTRIB / name).read_text(encoding="utf-8")
    assert found == files()[name], f"{name} is stale: run `python -m supervisor_d.init.reference`"


def test_files_are_written_into_a_folder_that_is_there(tmp_path: Path) -> None:
    write(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(files())
    with pytest.raises(ConfigurationError, match="run this from a checkout"):
        write(tmp_path / "none")


def test_a_template_leaves_the_instance_to_systemd() -> None:
    unit = files()["systemd/supervisor-d@.service"]
    assert "%%" not in unit
    assert "run --config /etc/supervisor-d/%i.toml --name %i\n" in unit
