"""Sources against each other: who wins, where a value came from, and what is refused."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.resolve import Resolved, resolve
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.table import ROWS, Row
from supervisor_d.settings.values.address import UNIX_PATH_MAX
from supervisor_d.settings.values.value_types import AUTO
from tests.helpers.certificates import authority, localhost

PAIR = localhost()
LOG_CONFIG = str(Path(__file__).parents[2] / "apps" / "logging.json")
ENV_FILE = str(Path(__file__).parents[2] / "apps" / "shop.env")

USER, GROUP = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
"""Who everybody may have for workers."""

SAMPLES: Mapping[str, tuple[object, str, object]] = {
    # name: (as TOML or Python has it, as text, the typed value); none is the default
    "app": ("shop.main:app", "shop.main:app", "shop.main:app"),
    "factory": (True, "yes", True),
    "interface": ("asgi2", "ASGI2", "asgi2"),
    "threads": ("auto", "Auto", 0),
    "app_dir": ("/", "/", "/"),
    "chdir": ("/", "/", "/"),
    "pythonpath": (["/", "/usr"], "/, /usr", ("/", "/usr")),
    "env_file": (ENV_FILE, ENV_FILE, ENV_FILE),
    "umask": ("0o27", "027", 0o027),
    "statsd": ("statsd:8125", "statsd:8125", "statsd:8125"),
    "statsd_prefix": ("shop", "shop", "shop"),
    "statsd_tags": ("env:live, eu", "env:live, eu", "env:live,eu"),
    "reload": (True, "on", True),
    "reload_dir": (["/"], "/", ("/",)),
    "reload_include": (["*.html", "*.py"], "*.html, *.py", ("*.html", "*.py")),
    "reload_exclude": (["test_*"], "test_*", ("test_*",)),
    "reload_delay": (0.25, "250ms", 0.25),
    "proc_title": ("corner shop", "corner shop", "corner shop"),
    "pid_file": ("run/shop.pid", "run/shop.pid", "run/shop.pid"),
    "lifespan": ("on", "ON", "on"),
    "root_path": ("/api", "/api", "/api"),
    "http": ("h11", "h11", "h11"),
    "loop": ("asyncio", "asyncio", "asyncio"),
    "graceful_timeout": (7.5, "7.5s", 7.5),
    "keep_alive": (2, "2", 2.0),
    "header_timeout": (1.25, "1250ms", 1.25),
    "body_timeout": (60, "1m", 60.0),
    "body_min_rate": ("1k", "1k", 1024),
    "request_timeout": (60, "60s", 60.0),
    "write_timeout": (3600, "1h", 3600.0),
    "max_workers": (64, "64", 64),
    "disconnect_grace": (0.1, "100ms", 0.1),
    "drain_spread": (0.1, "100ms", 0.1),
    "limit_request_line": (4096, "4k", 4096),
    "limit_request_fields": (50, "50", 50),
    "limit_header_bytes": (1048576, "1MiB", 1048576),
    "limit_body": ("10M", "10M", 10485760),
    "limit_connections": (1000, "1000", 1000),
    "limit_concurrency": (100, "100", 100),
    "forwarded_allow_ips": ("10.0.0.0/8,unix", "10.0.0.0/8, unix", "10.0.0.0/8,unix"),
    "forwarded_headers": ("forwarded", "Forwarded", "forwarded"),
    "proxy_protocol": (True, "on", True),
    "proxy_allow_ips": ("10.0.0.5,unix", "10.0.0.5, unix", "10.0.0.5,unix"),
    "request_id": ("X-Request-ID", "X-Request-ID", "X-Request-ID"),
    "underscore_headers": ("refuse", "REFUSE", "refuse"),
    "server_header": (False, "off", False),
    "date_header": (False, "no", False),
    "header": (["A:b, c", "D: e"], "A:b, c\nD: e", ("A: b, c", "D: e")),
    "ssl_context": ("security:context", "security:context", "security:context"),
    "access_log": ("-", "-", "-"),
    "access_log_format": ("%h %(s)s", "%h %(s)s", "%h %(s)s"),
    "log_format": ("json", "json", "json"),
    "log_config": (LOG_CONFIG, LOG_CONFIG, LOG_CONFIG),
    "log_level": ("debug", "debug", "debug"),
    "ws_max_size": (1048576, "1M", 1048576),
    "ws_ping_interval": (30, "30s", 30.0),
    "ws_ping_timeout": (0, "0", 0.0),
    "ws_per_message_deflate": (False, "off", False),
    "ssl_certfile": ([PAIR.certificate], PAIR.certificate, (PAIR.certificate,)),
    "ssl_keyfile": ([PAIR.key], PAIR.key, (PAIR.key,)),
    "ssl_keyfile_password": ("open sesame", "open sesame", "open sesame"),
    "ssl_ca_certs": (authority().certificate, authority().certificate, authority().certificate),
    "ssl_cert_reqs": ("optional", "Optional", "optional"),
    "ssl_ciphers": ("ECDHE+AESGCM", "ECDHE+AESGCM", "ECDHE+AESGCM"),
    "ssl_min_version": ("1.3", "1.3", "1.3"),
    "max_requests": (1000, "1000", 1000),
    "max_requests_jitter": (10, "10", 10),
    "gc_threshold": (10000, "10000", 10000),
    "fair_accept": (False, "off", False),
    "health_path": ("/healthz", "/healthz", "/healthz"),
    "bind": (["127.0.0.1:1", "unix:/x"], "127.0.0.1:1,unix:/x", ("127.0.0.1:1", "unix:/x")),
    "backlog": (64, "64", 64),
    "unix_mode": ("0600", "0600", 0o600),
    "unix_rebind": (False, "off", False),
    "ready_fd": (5, "5", 5),
    "workers": (4, "4", 4),
    "name": ("shop", "shop", "shop"),
    "timeout": (5, "5s", 5.0),
    "boot_timeout": (120, "2min", 120.0),
    "shutdown_delay": (1.5, "1.5", 1.5),
    "soak": (10, "10s", 10.0),
    "surge": (2, "2", 2),
    "template": (False, "off", False),
    "preload": (True, "on", True),
    "park": (False, "false", False),
    "max_age": (86400, "1d", 86400.0),
    "max_memory": (536870912, "512M", 536870912),
    "exit_when_failed": (True, "on", "on"),
    "control_socket": ("@shop", "@shop", "@shop"),
    "admin_bind": (":9000", "0.0.0.0:9000", "0.0.0.0:9000"),
    "user": (USER, USER, USER),
    "group": (GROUP, GROUP, GROUP),
    "admin_hosts": ("a.example", "A.example, ", "a.example"),
}

CERTIFICATE = {"SUPERVISOR_D_SSL_CERTFILE": PAIR.both}
NEEDED: Mapping[str, Mapping[str, str]] = {
    "group": {"SUPERVISOR_D_USER": USER},
    "max_requests_jitter": {"SUPERVISOR_D_MAX_REQUESTS": "5"},
    "proxy_allow_ips": {"SUPERVISOR_D_PROXY_PROTOCOL": "on"},
    "ssl_certfile": {"SUPERVISOR_D_SSL_KEYFILE": PAIR.key},
    "ssl_keyfile": {"SUPERVISOR_D_SSL_CERTFILE": PAIR.certificate},
    "ssl_ca_certs": CERTIFICATE,
    "ssl_cert_reqs": {**CERTIFICATE, "SUPERVISOR_D_SSL_CA_CERTS": authority().certificate},
    "ssl_ciphers": CERTIFICATE,
    **{f"reload_{name}": {"SUPERVISOR_D_RELOAD": "on"} for name in ("dir", "include", "exclude", "delay")},
}
"""What a sample needs beside it to be possible."""

EACH = [pytest.param(ROWS[name], id=name) for name in SAMPLES]
APP = {"app": "main:app"}


def refused(flags: Mapping[str, object], environ: Mapping[str, str], origin: Origin = Origin.FLAG) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        resolve(flags, environ, origin=origin)
    return caught.value.problems


def toml(row: Row, value: object) -> str:
    return f"{row.long} = {json.dumps(value)}\n"


def of(row: Row, resolved: Resolved) -> tuple[object, str]:
    return row.of(resolved.settings), str(resolved.provenance[row.name])


def test_every_setting_has_a_sample_that_is_not_its_default() -> None:
    assert set(SAMPLES) == set(ROWS) - {"config"}
    assert [name for name, (_, _, typed) in SAMPLES.items() if typed == ROWS[name].default] == []


@pytest.mark.parametrize("row", EACH)
def test_each_setting_can_be_given_in_the_environment(row: Row) -> None:
    _, text, typed = SAMPLES[row.name]
    environ = {"SUPERVISOR_D_APP": "main:app", **NEEDED.get(row.name, {}), row.variable: text}
    assert of(row, resolve({}, environ)) == (typed, f"env {row.variable}")


@pytest.mark.parametrize("row", EACH)
def test_each_setting_can_be_given_in_a_file_as_toml_has_it(row: Row, tmp_path: Path) -> None:
    native, _, typed = SAMPLES[row.name]
    path = tmp_path / "x.toml"
    path.write_text(toml(row, native))
    environ = {"SUPERVISOR_D_CONFIG": str(path), **NEEDED.get(row.name, {})}
    resolved = resolve({}, environ, needs_app=False)
    assert of(row, resolved) == (typed, f"file {path}: {row.long}")


@pytest.mark.parametrize("row", EACH)
def test_each_setting_can_be_given_in_a_file_as_text(row: Row, tmp_path: Path) -> None:
    native, text, typed = SAMPLES[row.name]
    path = tmp_path / "x.toml"
    path.write_text(toml(row, native if row.option.repeatable else text))
    environ = {"SUPERVISOR_D_CONFIG": str(path), **NEEDED.get(row.name, {})}
    assert of(row, resolve({}, environ, needs_app=False)) == (typed, f"file {path}: {row.long}")


@pytest.mark.parametrize("row", [param for param in EACH if not ROWS[str(param.id)].option.secret])
def test_each_setting_can_be_given_as_a_flag(row: Row) -> None:
    native, text, typed = SAMPLES[row.name]
    value = typed if row.option.kind.is_flag or row.option.repeatable else text
    place = "APP" if row.name == "app" else f"--{'no-' if value is False else ''}{row.long}"
    resolved = resolve({**APP, row.name: value}, NEEDED.get(row.name, {}))
    assert of(row, resolved) == (typed, f"flag {place}"), native


@pytest.mark.parametrize("row", EACH)
def test_each_setting_can_be_given_as_a_python_argument(row: Row) -> None:
    native, _, typed = SAMPLES[row.name]
    resolved = resolve({**APP, row.name: native}, NEEDED.get(row.name, {}), origin=Origin.ARGUMENT)
    assert of(row, resolved) == (typed, f"argument {row.name}")


def test_a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("workers = 2\ntimeout = 2\nsoak = 2\n")
    environ = {"SUPERVISOR_D_WORKERS": "3", "SUPERVISOR_D_TIMEOUT": "3"}
    daemon = resolve({**APP, "workers": "4", "config": str(path)}, environ).settings.daemon
    assert (daemon.workers, daemon.timeout, daemon.soak, daemon.surge) == (4, 3.0, 2.0, 1)


def test_auto_workers_stay_auto_until_they_are_counted() -> None:
    resolved = resolve({**APP, "workers": "AUTO"}, {})
    assert resolved.settings.daemon.workers == AUTO
    assert ("workers", "auto", "flag --workers") in resolved.as_rows()


def test_a_flag_names_the_file_before_the_environment_does(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("workers = 2\n")
    resolved = resolve({**APP, "config": str(path)}, {"SUPERVISOR_D_CONFIG": "/none.toml"})
    assert resolved.settings.daemon.workers == 2
    assert str(resolved.provenance["config"]) == "flag --config"


def test_a_bad_value_names_its_setting_its_bounds_itself_and_its_source(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("workers = 0\n")
    assert refused(APP, {"WEB_CONCURRENCY": "0"}) == ("workers: must be at least 1, not 0 (env WEB_CONCURRENCY)",)
    assert refused({**APP, "workers": "0"}, {}) == ("workers: must be at least 1, not 0 (flag --workers)",)
    assert refused({**APP, "config": str(path)}, {}) == (f"workers: must be at least 1, not 0 (file {path}: workers)",)


def test_all_problems_are_told_at_once() -> None:
    problems = refused({"workers": "many", "timeout": "0.5"}, {"SUPERVISOR_D_SURGE": "x", "SUPERVISOR_D_TIMOUT": "1"})
    assert problems == (
        "SUPERVISOR_D_TIMOUT: unknown; did you mean timeout? (env SUPERVISOR_D_TIMOUT)",
        "surge: must be a whole number, not 'x' (env SUPERVISOR_D_SURGE)",
        "workers: must be a whole number of at least 1, or auto, not 'many' (flag --workers)",
        "timeout: must be 0 (off) or at least 1s, not 0.5s (flag --timeout)",
        "app: must be given, as module:attribute, such as main:app",
    )


def test_a_bad_value_is_refused_even_if_a_stronger_source_wins() -> None:
    assert refused({**APP, "workers": "4"}, {"SUPERVISOR_D_WORKERS": "x"}) == (
        "workers: must be a whole number of at least 1, or auto, not 'x' (env SUPERVISOR_D_WORKERS)",
    )


def test_a_bad_alias_is_not_ours_to_refuse_if_a_flag_wins() -> None:
    assert resolve({**APP, "workers": "4"}, {"WEB_CONCURRENCY": "x"}).settings.daemon.workers == 4


def test_a_contradiction_names_the_source_of_the_setting_it_is_about() -> None:
    assert refused(APP, {"SUPERVISOR_D_DRAIN_SPREAD": "1m"}) == (
        "drain-spread: must be at most graceful-timeout (30s), not 60s (env SUPERVISOR_D_DRAIN_SPREAD)",
    )


def test_an_unknown_argument_is_refused_by_name() -> None:
    assert refused({**APP, "worker": 1}, {}, Origin.ARGUMENT) == (
        "worker: unknown; did you mean workers or max_workers? (argument)",
    )


def test_an_application_is_needed_only_where_one_is_run() -> None:
    assert refused({}, {}) == ("app: must be given, as module:attribute, such as main:app",)
    assert resolve({}, {}, needs_app=False).settings.server.app == ""


def test_a_daemon_without_a_name_is_named_after_its_application() -> None:
    resolved = resolve({"app": "shop.main:app"}, {})
    assert resolved.settings.daemon.name == "shop.main"
    assert str(resolved.provenance["name"]) == "default (after the application)"


def test_what_is_not_given_is_a_default() -> None:
    resolved = resolve({"app": "main:app", "workers": None, "bind": ()}, {})
    assert str(resolved.provenance["workers"]) == "default"
    assert resolved.settings.daemon.bind == ("127.0.0.1:8000",)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("workers", True, "workers: must be a whole number of at least 1, or auto, not 'on'"),
        ("workers", 1.5, "workers: must be a whole number of at least 1, or auto, not '1.5'"),
        ("workers", -3, "workers: must be at least 1, not -3"),
        ("workers", 1025, "workers: must be at most 1024, not 1025"),
        ("workers", [1], "workers: must be a whole number of at least 1, or auto, not [1]"),
        ("workers", {"a": 1}, "workers: must be a whole number of at least 1, or auto, not {'a': 1}"),
        ("timeout", "5 fortnights", "timeout: must be a length of time such as"),
        ("timeout", "4000d", "timeout: must be at most ten years"),
        ("timeout", float("nan"), "timeout: must be a length of time such as"),
        ("timeout", float("inf"), "timeout: must be a length of time such as"),
        ("limit_request_line", "9" * 400, "limit-request-line: must be a size of at most 15 digits"),
        ("max_requests", -1, "max-requests: must not be negative, as '-1' is"),
        ("backlog", "9" * 5000, "backlog: must be a whole number of at most 15 digits"),
        ("backlog", 65536, "backlog: must be from 1 to 65535, not 65536"),
        ("max_memory", "64k", "max-memory: must be 0 (off) or at least 1048576, not 65536"),
        ("unix_mode", 0o660, 'unix-mode: must be an octal file mode: 0660, in quotes ("0660"), not the number 432'),
        ("unix_mode", "1777", "unix-mode: must be at most 0777, not 1777"),
        ("unix_mode", "0o9", "unix-mode: must be an octal file mode such as 0660, not '0o9'"),
        ("bind", [], "bind: must be at least one of HOST:PORT"),
        ("bind", [8000], "bind: must be HOST:PORT"),
        ("bind", "8000", "bind: must be HOST:PORT"),
        ("http", "h2", "http: must be one of auto, httptools, h11, not 'h2'"),
        ("park", "maybe", "park: must be on or off, not 'maybe'"),
        ("app", "main", "app: must be module:attribute"),
        ("app", "main:", "app: must be module:attribute"),
        ("app", "./main.py:app", "app: must be module:attribute"),
        ("app", "", "app: must be module:attribute"),
        ("name", "../x", "name: must be letters"),
        ("root_path", "api", "root-path: must be a path that begins with /"),
        ("root_path", "/api/", "root-path: must not end with /"),
        ("health_path", "/a b", "health-path: must be a path that begins with / and holds no spaces"),
        ("forwarded_allow_ips", "10.0.0.1/8", "forwarded-allow-ips: must be addresses, networks, unix or *"),
        ("forwarded_allow_ips", "proxy", "forwarded-allow-ips: must be addresses, networks, unix or *"),
        ("forwarded_headers", "x-real-ip", "forwarded-headers: must be off, or any of x-forwarded-for"),
        (
            "forwarded_headers",
            "forwarded,x-forwarded-for",
            "forwarded-headers: must be forwarded or x-forwarded fields",
        ),
        ("forwarded_headers", "off,forwarded", "forwarded-headers: must be off or names of fields, not both"),
        ("request_id", "on", "request-id: must be off or a header's name, not 'on'; did you mean X-Request-ID?"),
        ("request_id", "X_Request_ID", "request-id: must be off or a header's name, of letters, digits and -"),
        ("request_id", "Host", "request-id: must not be Host"),
        (
            "access_log",
            "on",
            "access-log: must be off, stderr, - (standard output) or a path, not 'on'; did you mean stderr?",
        ),
        ("ssl_context", "security", "ssl-context: must be module:callable, not 'security'"),
        ("access_log", " ", "access-log: must be off, stderr, - or a path, not empty"),
        ("access_log_format", "%(h)s %Z", "access-log-format: unknown atom %Z; there are %(NAME)s with "),
        ("access_log_format", "jsn", "access-log-format: must be auto, json, common, "),
        ("control_socket", "/" + "x" * UNIX_PATH_MAX, "control-socket: must be a path of at most 107 bytes"),
        ("app_dir", "/a\0b", "app-dir: must not contain a NUL character"),
        ("config", "/a\0b", "config: "),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_what_would_be_accepted(name: str, value: object, said: str) -> None:
    problems = refused({**APP, name: value}, {}, Origin.ARGUMENT)
    assert problems[0].startswith(said)


def test_reading_again_sees_the_file_as_it_is_now_and_the_rest_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("workers = 2\ntimeout = 5\n")
    environ = {"SUPERVISOR_D_CONFIG": str(path), "SUPERVISOR_D_SURGE": "3"}
    flags = {**APP, "timeout": "7"}
    first = resolve(flags, environ)
    path.write_text("workers = 6\ntimeout = 6\nsoak = 6\n")
    environ["SUPERVISOR_D_SURGE"] = "9"
    flags["timeout"] = "9"
    second = first.reread().settings.daemon
    assert (second.workers, second.timeout, second.soak, second.surge) == (6, 7.0, 6.0, 3)
    assert first.settings.daemon.workers == 2


def test_reading_again_a_file_that_became_unsound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("workers = 2\n")
    resolved = resolve({**APP, "config": str(path)}, {})
    path.write_text("workers = 0\n")
    with pytest.raises(ConfigurationError, match="must be at least 1, not 0"):
        resolved.reread()
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot read"):
        resolved.reread()


def test_rows_show_every_setting_as_text_with_its_source() -> None:
    rows = resolve({**APP, "workers": "4", "unix_mode": "0600"}, {"PORT": "80"}).as_rows()
    assert len(rows) == len(ROWS)
    assert ("workers", "4", "flag --workers") in rows
    assert ("bind", "0.0.0.0:80", "env PORT") in rows
    assert ("unix-mode", "0600", "flag --unix-mode") in rows
    assert ("graceful-timeout", "30s", "default") in rows


def test_a_directory_that_is_not_there_is_refused_with_where_it_was_given(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    said = f"chdir: must be a directory that exists; {gone!r} is not there"
    assert refused({**APP, "chdir": gone}, {}) == (f"{said} (flag --chdir)",)
    assert refused(APP, {"SUPERVISOR_D_CHDIR": gone}) == (f"{said} (env SUPERVISOR_D_CHDIR)",)
