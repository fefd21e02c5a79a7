"""Options of other servers: each is answered with what does the same here, wherever it is typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from supervisor_d.cli.program import cli
from supervisor_d.compat.options import granian, hypercorn, uvicorn
from supervisor_d.compat.options.table import Fate, PeerOption
from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.sources.foreign_flags import GUNICORN, here
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.table import ROWS

OURS = {flag for row in ROWS.values() for flag in (f"--{row.long}", *row.option.flags)}
OTHERS = {"-h", "--help", "--version", *OURS}
TABLES = {"uvicorn": uvicorn.OPTIONS, "hypercorn": hypercorn.OPTIONS, "granian": granian.OPTIONS}
FLAGS = [
    pytest.param(option, flag, id=f"{peer} {flag}")
    for peer, table in TABLES.items()
    for option in table.values()
    for flag in option.flags
    if flag not in OTHERS and not flag.startswith("--no-")
]


@pytest.mark.parametrize("peer", TABLES)
def test_what_does_the_same_is_a_setting(peer: str) -> None:
    for option in TABLES[peer].values():
        assert {f"--{name}" for name in option.ours} <= OURS, option.name
        assert (option.fate in (Fate.SAME, Fate.MAPPED)) == bool(option.ours) or option.name == "version", option.name
        assert option.difference == "" or re.fullmatch(r"\S.*[.)]", option.difference), option.name


@pytest.mark.parametrize("flag", GUNICORN)
def test_a_flag_of_gunicorn_is_none_of_ours_and_is_answered_with_one_that_is(flag: str) -> None:
    assert flag not in OURS
    assert set(re.findall(r"--[a-z-]+", GUNICORN[flag])) <= OURS
    assert here(flag)


@pytest.mark.parametrize(("option", "flag"), FLAGS)
def test_each_flag_of_a_peer_is_answered_on_the_command_line(option: PeerOption, flag: str) -> None:
    refused = CliRunner().invoke(cli, ["run", "main:app", flag])
    assert refused.exit_code == 2
    said = refused.output.partition(f"No such option '{flag}'; here: ")[2]
    assert said, refused.output
    assert all(f"--{name}" in said for name in option.ours) or option.difference.removesuffix(".") in said


@pytest.mark.parametrize("peer", TABLES)
def test_each_name_of_a_peer_is_answered_in_a_file_and_a_call(peer: str, tmp_path: Path) -> None:
    names = [name for name in TABLES[peer] if name not in ROWS and name.replace("_", "-") not in OURS]
    with pytest.raises(ConfigurationError) as refused:
        resolve({"app": "main:app", **dict.fromkeys(names, "1")}, {}, origin=Origin.ARGUMENT)
    assert len(refused.value.problems) == len(names)
    assert [problem for problem in refused.value.problems if ": unknown; here: " not in problem] == []
    (tmp_path / "a.toml").write_text("".join(f"{name} = 1\n" for name in names))
    with pytest.raises(ConfigurationError) as refused:
        resolve({"app": "main:app", "config": str(tmp_path / "a.toml")}, {})
    assert len(refused.value.problems) == len(names)
    assert [problem for problem in refused.value.problems if ": unknown; here: " not in problem] == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run", "main:app", "--host", "0.0.0.0"], "No such option '--host'; here: --bind: Host and port are one"),
        (["run", "main:app", "--worker", "3"], "No such option '--worker'; did you mean --workers or --max-workers?"),
        (["run", "main:app", "--nothing-like-it"], "No such option '--nothing-like-it'\n"),
        (["run", "main:app", "--proxy-headers"], "No such option '--proxy-headers'; here: --forwarded-headers"),
    ],
)
def test_an_unknown_flag_is_refused_with_what_would_be_accepted(command: list[str], said: str) -> None:
    refused = CliRunner().invoke(cli, command)
    assert refused.exit_code == 2
    assert said in refused.output


def test_all_unknown_flags_are_told_at_once_and_known_ones_are_not() -> None:
    command = [
        "check",
        "main:app",
        "--workers",
        "2",
        "--host=x",
        "--port",
        "80",
        "-w",
        "3",
        "--uds=/x",
        "--port",
        "81",
        "--preload",
        "-D",
        "--",
        "--fd",
    ]
    refused = CliRunner().invoke(cli, command)
    assert re.findall(r"No such option '(\S+)'", refused.output) == ["--host", "--port", "--uds", "-D"]


@pytest.mark.parametrize("name", ["host", "limit_request_field_size", "workers_max_rss"])
def test_a_name_from_elsewhere_is_answered_alike_in_a_file_a_variable_and_a_call(tmp_path: Path, name: str) -> None:
    file = tmp_path / "app.toml"
    file.write_text(f"{name} = true\n")
    variable = f"SUPERVISOR_D_{name.upper()}"
    for flags, environ, place in (
        ({"config": str(file)}, {}, f"file {file}: {name}"),
        ({}, {variable: "1"}, f"env {variable}"),
        ({name: "1"}, {}, "argument"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            resolve({"app": "main:app", **flags}, environ, origin=Origin.ARGUMENT)
        assert f": unknown; here: {here(name)} ({place})" in str(refused.value)


@pytest.mark.parametrize("name", ["gunicorn.conf.py", "python:shop.conf", "file:gunicorn_conf.py"])
def test_a_python_file_is_called_what_it_is(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        resolve({"app": "main:app", "config": name}, {})
    (problem,) = refused.value.problems
    assert (
        f"is a Python file, as gunicorn and Hypercorn have them, and settings are read from TOML here; {name} is not"
        in problem
    )


def test_what_nobody_knows_has_no_hint() -> None:
    assert here("--nothing-like-it") is None
    assert here("-Z") is None
