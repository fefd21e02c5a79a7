"""Settings that are impossible together, or here."""

from __future__ import annotations

import pytest

from server_core.settings.declaration import ServerSettings
from supervisor_d.settings.consistency import RULES, ThisHost, contradictions
from supervisor_d.settings.declaration import DaemonSettings, Settings
from supervisor_d.settings.table import ROWS


class EmptyHost:
    """A machine that has nothing."""

    def has_module(self, name: str) -> bool:
        return not name

    def has_directory(self, path: str) -> bool:
        return not path

    def has_path(self, path: str) -> bool:
        return not path

    def env_file_problem(self, path: str) -> str | None:
        return f"cannot read {path}"

    def log_config_problem(self, path: str) -> str | None:
        return f"cannot read {path}"

    def tls_problem(self, settings: ServerSettings) -> tuple[str, str] | None:
        return ("ssl_certfile", "cannot read it") if settings.ssl_certfile else None

    def identity_problem(self, user: str, group: str) -> tuple[str, str] | None:
        return ("group", "is given without user") if group and not user else None


class FullHost:
    """A machine that has everything."""

    def has_module(self, name: str) -> bool:
        return bool(name)

    def has_directory(self, path: str) -> bool:
        return bool(path)

    def has_path(self, path: str) -> bool:
        return bool(path)

    def env_file_problem(self, path: str) -> str | None:
        return None if path else "there is none"

    def log_config_problem(self, path: str) -> str | None:
        return None if path else "there is none"

    def tls_problem(self, settings: ServerSettings) -> tuple[str, str] | None:
        return ("ssl_keyfile", "is of no use") if settings.ssl_keyfile and not settings.ssl_certfile else None

    def identity_problem(self, user: str, group: str) -> tuple[str, str] | None:
        return ("group", "is given without user") if group and not user else None


Given = dict[str, object]

IMPOSSIBLE: list[tuple[Given, Given, str, str]] = [
    ({"max_requests_jitter": 5}, {}, "max_requests_jitter", "give max-requests, too"),
    ({}, {"workers": 9, "max_workers": 8}, "workers", "must be at most max-workers, which is 8, not 9"),
    ({"proxy_protocol": True, "proxy_allow_ips": ""}, {}, "proxy_allow_ips", "must name somebody"),
    ({"request_id": "X-Id", "header": ["x-id: 1"]}, {}, "request_id", "header says X-Id in all"),
    ({}, {"group": "www"}, "group", "is given without user"),
    ({"proxy_allow_ips": "unix"}, {}, "proxy_allow_ips", "is given without proxy-protocol"),
    ({"drain_spread": 31.0}, {}, "drain_spread", "must be at most graceful-timeout (30s), not 31s"),
    ({"limit_request_line": 70000}, {}, "limit_request_line", "must be at most limit-header-bytes (65536), not 70000"),
    ({"factory": True, "app": "main:create()"}, {}, "factory", "app already calls its factory"),
    ({}, {"bind": (":1", ":2", ":1")}, "bind", "must name each address once, not :1 again"),
    ({}, {"bind": ("fd://1",)}, "bind", "fd://1 is standard output, not a listener"),
    ({}, {"bind": ("fd://2",)}, "bind", "fd://2 is standard error, not a listener"),
    ({"access_log": "/none/x"}, {}, "access_log", "must be in a directory that exists, and '/none' does not"),
    ({"app_dir": "/none"}, {}, "app_dir", "must be a directory that exists, not '/none'"),
    (
        {},
        {"pythonpath": ("/none", "/no.zip")},
        "pythonpath",
        "must be directories or archives that exist, not '/none', '/no.zip'",
    ),
    ({}, {"env_file": "/none"}, "env_file", "cannot read /none"),
    ({}, {"reload": True, "reload_dir": ("/none",)}, "reload_dir", "must be directories that exist, not '/none'"),
    ({}, {"reload_exclude": ("x",)}, "reload_exclude", "is given without reload"),
    ({"log_config": "/none"}, {}, "log_config", "cannot read /none"),
    ({"http": "httptools"}, {}, "http", "must be auto or h11 here: httptools is not installed"),
    ({"ssl_certfile": ("/none.pem",)}, {}, "ssl_certfile", "cannot read it"),
    ({"loop": "uvloop"}, {}, "loop", "must be auto or asyncio here: uvloop is not installed"),
]

POSSIBLE: list[tuple[Given, Given]] = [
    ({}, {}),
    ({"max_requests": 10, "max_requests_jitter": 5}, {}),
    ({"proxy_protocol": True, "proxy_allow_ips": "unix"}, {}),
    ({"drain_spread": 30.0}, {}),
    ({"limit_request_line": 65536}, {}),
    ({"factory": True, "app": "main:create"}, {}),
    ({"app": "main:create()"}, {}),
    ({}, {"bind": ("127.0.0.1:0", "127.0.0.1:0", "fd://0", "unix:/x")}),
    ({"ssl_certfile": ("/there.pem",), "ssl_keyfile": ("/there.key",)}, {}),
    ({"access_log": "/there/x", "log_config": "/there/y"}, {}),
    ({}, {"pythonpath": ("/there",), "env_file": "/there"}),
    ({}, {"reload": True, "reload_dir": ("/there",), "reload_delay": 1.0}),
    ({"app_dir": "/there", "http": "httptools", "loop": "uvloop"}, {}),
]


def made(server: dict[str, object], daemon: dict[str, object]) -> Settings:
    return Settings(
        server=ServerSettings(**server),  # type: ignore[arg-type]  # the table above is typed by the fields' names
        daemon=DaemonSettings(**daemon),  # type: ignore[arg-type]  # the table above is typed by the fields' names
    )


@pytest.mark.parametrize(("server", "daemon", "name", "said"), IMPOSSIBLE)
def test_an_impossible_pair_is_refused_by_name(
    server: dict[str, object], daemon: dict[str, object], name: str, said: str
) -> None:
    found = contradictions(made(server, daemon), EmptyHost())
    assert [setting for setting, _ in found] == [name]
    assert name in ROWS
    assert said in found[0][1]


@pytest.mark.parametrize(("server", "daemon"), POSSIBLE)
def test_a_possible_pair_passes(server: dict[str, object], daemon: dict[str, object]) -> None:
    assert contradictions(made(server, daemon), FullHost()) == []


def test_auto_takes_what_is_there() -> None:
    assert contradictions(made({"http": "auto", "loop": "auto"}, {}), EmptyHost()) == []


def test_every_rule_refuses_something_in_the_table() -> None:
    refusing = {
        rule.__name__
        for server, daemon, _, _ in IMPOSSIBLE
        for rule in RULES
        if rule(made(server, daemon), EmptyHost()) is not None
    }
    assert refusing == {rule.__name__ for rule in RULES}


def test_this_machine_is_asked_whether_the_certificates_can_be_used() -> None:
    assert ThisHost().tls_problem(ServerSettings()) is None
    problem = ThisHost().tls_problem(ServerSettings(ssl_certfile=("/no/such/file",)))
    assert problem == ("ssl_certfile", "cannot read /no/such/file: No such file or directory")


def test_this_machine_has_what_runs_the_tests() -> None:
    assert ThisHost().has_module("pytest")
    assert not ThisHost().has_module("no_such_module_anywhere")
    assert ThisHost().has_directory("/")
    assert not ThisHost().has_directory("/no/such/directory")
