"""The environment: our names, the usual ones of others, and the ones that nobody knows."""

from __future__ import annotations

import pytest

from supervisor_d.settings.sources.environment import read_environment, relevant
from supervisor_d.settings.sources.provenance import Given, Origin, Source


def read(**environ: str) -> tuple[dict[str, Given], list[str]]:
    problems: list[str] = []
    return read_environment(environ, problems), problems


def env(name: str) -> Source:
    return Source(Origin.ENVIRONMENT, name)


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("SUPERVISOR_D_WORKERS", "4", "workers", "4"),
        ("SUPERVISOR_D_GRACEFUL_TIMEOUT", "5s", "graceful_timeout", "5s"),
        ("SUPERVISOR_D_CONTROL_SOCKET", "/x", "control_socket", "/x"),
        ("SUPERVISOR_D_APP", "main:app", "app", "main:app"),
        ("WEB_CONCURRENCY", "3", "workers", "3"),
        ("FORWARDED_ALLOW_IPS", "*", "forwarded_allow_ips", "*"),
        ("PORT", "5000", "bind", ["0.0.0.0:5000"]),
        ("SUPERVISOR_D_BIND", ":1, unix:/x,", "bind", [":1", "unix:/x"]),
    ],
)
def test_a_variable_gives_its_setting(variable: str, text: str, setting: str, value: object) -> None:
    assert read(**{variable: text}) == ({setting: Given(value, env(variable))}, [])


def test_our_own_name_wins_over_an_alias() -> None:
    given, problems = read(WEB_CONCURRENCY="3", SUPERVISOR_D_WORKERS="4", PORT="1", SUPERVISOR_D_BIND=":2")
    assert problems == []
    assert given["workers"] == Given("4", env("SUPERVISOR_D_WORKERS"))
    assert given["bind"] == Given([":2"], env("SUPERVISOR_D_BIND"))


def test_an_empty_variable_is_not_given() -> None:
    assert read(SUPERVISOR_D_WORKERS="", WEB_CONCURRENCY="", PORT="") == ({}, [])


def test_an_empty_variable_of_ours_lets_the_alias_through() -> None:
    given, _ = read(SUPERVISOR_D_WORKERS="", WEB_CONCURRENCY="3")
    assert given["workers"].source == env("WEB_CONCURRENCY")


def test_unknown_names_with_our_prefix_are_all_refused_with_near_misses() -> None:
    _, problems = read(SUPERVISOR_D_WORKER="1", SUPERVISOR_D_XYZZY="1", XYZZY="1")
    assert problems == [
        "SUPERVISOR_D_WORKER: unknown; did you mean workers or max-workers? (env SUPERVISOR_D_WORKER)",
        "SUPERVISOR_D_XYZZY: unknown (env SUPERVISOR_D_XYZZY)",
    ]


def test_what_workers_tell_their_applications_is_no_setting() -> None:
    assert read(SUPERVISOR_D_SLOT="1", SUPERVISOR_D_GENERATION="2") == ({}, [])


def test_what_the_installation_reads_is_no_setting() -> None:
    assert read(SUPERVISOR_D_COMPILE="0") == ({}, [])


def test_only_what_is_read_is_kept() -> None:
    environ = {"SUPERVISOR_D_WORKERS": "1", "PORT": "2", "SECRET": "x", "SUPERVISOR_D_SLOT": "3"}
    assert relevant(environ) == {"SUPERVISOR_D_WORKERS": "1", "PORT": "2", "SUPERVISOR_D_SLOT": "3"}
