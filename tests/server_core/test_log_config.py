"""What a file for `logging` may look like, what is refused, and which loggers are ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from server_core import log_config
from server_core.errors import UsageError

MINIMAL = {"version": 1}
INI = """
[loggers]
keys = root
[handlers]
keys = plain
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = plain
[handler_plain]
class = StreamHandler
formatter = plain
args = (sys.stdout,)
[formatter_plain]
format = INI %(name)s %(message)s
"""

PROGRAM = """
import logging, sys
from server_core import log_config
from server_core.log import EVENTS
log_config.apply(sys.argv[1])
logging.getLogger("shop").warning("sold %s", "out")
log = log_config.routed(lambda event, /, **fields: print("ELSEWHERE", event), EVENTS, {"slot": 3})
log("request.failed", method="GET", path="/", request_id=None, traceback="Traceback\\n  boom\\n")
log("application.imported", app="main:app", duration_s=0.1)
if log_config.is_named(log_config.ACCESS_LOGGER):
    lines = log_config.AccessLines()
    lines.add("GET / 200 100%\\n")
    lines.close()
"""


def written(path: Path) -> list[str]:
    """Standard output of a program whose logging was configured by the file."""
    command = [sys.executable, "-c", PROGRAM, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def dictionary(*loggers: str) -> dict[str, object]:
    return {
        "version": 1,
        "formatters": {"plain": {"format": "DICT %(name)s %(levelname)s %(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"}},
        "loggers": {name: {"level": "INFO"} for name in loggers},
        "root": {"level": "INFO", "handlers": ["out"]},
    }


def test_an_ini_file_is_applied_and_our_events_stay_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "logging.ini").write_text(INI)
    assert written(tmp_path / "logging.ini") == [
        "INI shop sold out",
        "ELSEWHERE request.failed",
        "ELSEWHERE application.imported",
    ]


@pytest.mark.parametrize("form", ["json", "yaml", "yml", "toml"])
def test_a_dictionary_is_applied_and_named_loggers_get_events_and_access_lines(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"logging.{form}"
    if form == "toml":
        path.write_text(
            'version = 1\n[formatters.plain]\nformat = "DICT %(name)s %(levelname)s %(message)s"\n'
            '[handlers.out]\nclass = "logging.StreamHandler"\nstream = "ext://sys.stdout"\nformatter = "plain"\n'
            '[loggers.supervisor_d]\nlevel = "INFO"\n[loggers."supervisor_d.access"]\nlevel = "INFO"\n'
            '[root]\nlevel = "INFO"\nhandlers = ["out"]\n'
        )
    else:  # what JSON is, is YAML, too
        path.write_text(json.dumps(dictionary("supervisor_d", "supervisor_d.access")))
    assert written(path) == [
        "DICT shop WARNING sold out",
        "DICT supervisor_d ERROR request.failed slot=3 method='GET' path='/'",
        "Traceback",
        "  boom",
        "DICT supervisor_d.access INFO GET / 200 100%",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "a.json is not JSON: Expecting property name"),
        ("a.json", "[]", "a.json must hold an object (logging.config, dictionary schema), not []"),
        ("a.json", "{}", "a.json must have version 1 (logging.config, dictionary schema), not None"),
        ("a.yaml", "a: [", "a.yaml is not YAML: "),
        ("a.toml", "a", "a.toml is not TOML: "),
        ("a.conf", "text", "a.conf is not INI: File contains no section headers."),
        ("a.conf", "[loggers]\nkeys=root\n", "a.conf has no section [handlers], [formatters]"),
        ("a.ini", "\xe9", "a.ini is not INI: 'utf-8' codec can't decode"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_name(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="latin-1")
    assert str(log_config.problem(str(tmp_path / name))).startswith(f"{tmp_path}/{said}")


def test_a_file_that_is_sound_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(MINIMAL))
    (tmp_path / "a.ini").write_text(INI)
    assert log_config.problem(str(tmp_path / "a.json")) is None
    assert log_config.problem(str(tmp_path / "a.ini")) is None
    assert log_config.problem(str(tmp_path / "b")) == f"cannot read {tmp_path}/b: No such file or directory"


def test_yaml_without_its_package_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "a.yaml").write_text("version: 1")
    said = f"{tmp_path}/a.yaml is YAML, and PyYAML is not installed for this Python; install it, or use JSON"
    assert str(log_config.problem(str(tmp_path / "a.yaml"))).startswith(said)


def test_what_only_applying_shows_names_the_file_and_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 1, "handlers": {"h": {"class": "nothing.Like"}}}))
    with pytest.raises(UsageError) as refused:
        log_config.apply(str(path))
    assert str(refused.value).startswith(f"log-config: {path} cannot be applied: Unable to configure handler 'h': ")
    assert "nothing" in str(refused.value)
