"""What is well-formed is decided by regular expressions: they agree with a reader by hand, on each Python here."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import server_core
import supervisor_d
from tests.helpers.grammar import GRAMMARS, is_sound, wrong
from tests.helpers.patterns import second_ways

ROOT = Path(__file__).parents[3]
LONG = 64 * 1024

FIXED_LENGTH = {
    "server_core.http1.request_line._LONE": "one or two bytes, with what stands beside them",
    "server_core.settings.option._DURATION": "units of which one begins another; a setting's value, not a client's",
    "server_core.settings.option._SIZE": "units of which one begins another; a setting's value, not a client's",
}
"""Patterns that may be read in two ways: what is tried twice is a character or two, whatever the text."""


def interpreters() -> list[str]:
    """Each Python of at least 3.11 on the search path, by its real path."""
    found = set()
    for directory in {*os.get_exec_path(), "/usr/bin"}:
        for path in sorted(Path(directory).glob("python3*")):
            if re.fullmatch(r"python3(\.\d+)?t?", path.name) and shutil.which(path):
                found.add(path.resolve())
    question = ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    answers = {path: subprocess.run([path, *question], check=False, capture_output=True) for path in found}
    return sorted(str(path) for path, answer in answers.items() if answer.returncode == 0)


def patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    """Every pattern that a module of either package keeps, by its name."""
    found = {}
    for package in (server_core, supervisor_d):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                kept = vars(importlib.import_module(module.name))
                found |= {
                    f"{module.name}.{name}": value for name, value in kept.items() if isinstance(value, re.Pattern)
                }
    return found


PATTERNS = patterns()


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_short_text_has_the_verdict_of_a_reader_by_hand(name: str) -> None:
    assert list(wrong(GRAMMARS[name])) == []


@pytest.mark.parametrize("interpreter", interpreters())
def test_the_verdicts_do_not_depend_on_the_interpreter(interpreter: str) -> None:
    ran = subprocess.run(
        [interpreter, "-m", "tests.helpers.grammar"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", sorted(PATTERNS.keys() - FIXED_LENGTH))
def test_no_pattern_has_two_ways_to_read_a_text(name: str) -> None:
    assert second_ways(PATTERNS[name]) == []


def test_the_patterns_that_may_be_read_in_two_ways_are_still_there() -> None:
    assert PATTERNS.keys() >= FIXED_LENGTH.keys()


@pytest.mark.parametrize(
    "pattern",
    [
        r"[ \t]*(?:a=b)?[ \t]*,",
        "(?:a*)*b",
        "(?:a+)+b",
        "(?:ab|cb?b)*",
        "a*a",
        "(?:[ab]b?)*",
        "(?:ab?)+b",
        r"(?:\w+\s*)*x\d?9",
    ],
)
def test_a_pattern_with_two_ways_is_found(pattern: str) -> None:
    assert second_ways(re.compile(pattern))


def test_an_operation_that_cannot_be_judged_is_an_error() -> None:
    with pytest.raises(ValueError, match="not judged"):
        second_ways(re.compile(r"(a+)\1"))


@pytest.mark.parametrize(
    ("name", "text", "verdict"),
    [
        ("forwarded", " \t" * LONG, True),
        ("forwarded", " " * LONG + "x", False),
        ("forwarded", "a=b" + " " * LONG + "x", False),
        ("forwarded", "a=b , " * LONG, True),
        ("forwarded", "a=b , " * LONG + '"', False),
        ("forwarded", 'a="' + r"\"" * LONG, False),
        ("forwarded", 'a="' + r"\"" * LONG + '"', True),
        ("forwarded", "a" * LONG, False),
        ("chunk size", "3" + ";a" * 2000, True),
        ("chunk size", "3" + ";a" * 2000 + ";", False),
        ("chunk size", "3" + " " * 4000, False),
        ("chunk size", "3;a" + " " * 4000 + '"', False),
        ("chunk size", '3;a="' + "\\a" * 2000, False),
        ("chunk size", '3;a="' + "\\a" * 2000 + '" ', False),
        ("field lines", "a:\r\n" * LONG, True),
        ("field lines", "a:\r\n" * LONG + "\x00", False),
        ("field lines", "a:" + "b" * LONG + "\x00\r\n", False),
        ("field lines", "a" * LONG + "\r\n", False),
        ("parameter", '"' + "\\a" * LONG + '"', True),
        ("parameter", '"' + "\\a" * LONG, False),
        ("parameter", '"' + "a" * LONG + "\\", False),
    ],
)
def test_a_long_text_has_its_verdict_after_one_reading(name: str, text: str, verdict: bool) -> None:
    """A second reading of these would take minutes: that fails by the suite's own limit, with no clock here."""
    assert is_sound(GRAMMARS[name], text) == verdict
