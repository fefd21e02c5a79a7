"""The configuration file: what is read, and what is wrong with it, by name and place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor_d.settings.sources.provenance import Given, Origin, Source
from supervisor_d.settings.sources.toml_file import SIZE_MAX, read_document

ASKED = Source(Origin.FLAG, "--config")


def read(path: Path) -> tuple[dict[str, Given], list[str]]:
    problems: list[str] = []
    return read_document(path, ASKED, problems), problems


def test_keys_are_the_long_names_and_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('workers = 4\r\ngraceful-timeout = "5s"\n')
    given, problems = read(path)
    assert problems == []
    assert given == {
        "workers": Given(4, Source(Origin.FILE, f"{path}: workers")),
        "graceful_timeout": Given("5s", Source(Origin.FILE, f"{path}: graceful-timeout")),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker = 4", "worker: unknown; did you mean workers or max-workers? (file {path}: worker)"),
        ("graceful_timeout = 4", "graceful_timeout: unknown; did you mean graceful-timeout? (file"),
        ("[timeouts]\ntimeout = 4", "timeouts: is a table; settings stand at the top level (file"),
        ("xyzzy = 4", "xyzzy: unknown (file {path}: xyzzy)"),
        ('config = "y.toml"', "config: cannot be set in a file; give --config or SUPERVISOR_D_CONFIG (file"),
        ("workers = ", "config: {path} is not TOML: "),
        ("workers = 4\nworkers = 5", "config: {path} is not TOML: "),
        ("x = " + "[" * 50_000, "config: {path} is not TOML: "),
    ],
)
def test_what_is_wrong_is_said_by_name_and_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    given, problems = read(path)
    assert given == {}
    assert len(problems) == 1
    assert problems[0].startswith(said.format(path=path))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    _, problems = read(tmp_path / "none.toml")
    assert problems == [f"config: cannot read {tmp_path}/none.toml: No such file or directory (flag --config)"]


def test_bytes_that_are_not_utf_8_are_said(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b'name = "\xff"')
    _, problems = read(path)
    assert "is not TOML" in problems[0]


def test_a_pipe_is_refused_at_once_rather_than_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    _, problems = read(path)
    assert problems == [f"config: cannot read {path}: not a regular file (flag --config)"]


def test_a_directory_is_refused(tmp_path: Path) -> None:
    _, problems = read(tmp_path)
    assert len(problems) == 1
    assert problems[0].startswith(f"config: cannot read {tmp_path}: ")


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("#" * (SIZE_MAX + 1))
    _, problems = read(path)
    assert problems == [f"config: cannot read {path}: larger than {SIZE_MAX} characters (flag --config)"]
