"""The command line: what is refused and how, what config and check print, and what ctl asks a daemon for."""

from __future__ import annotations

import grp
import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import pytest
from click.testing import CliRunner, Result

from supervisor_d.cli.program import cli
from supervisor_d.host.reactor import READ
from supervisor_d.settings.table import ROWS, Row
from supervisor_d.vocabulary import (
    DumpRequested,
    ReloadRequested,
    RestartRequested,
    ScaleRequested,
    Started,
    StopRequested,
)
from tests.helpers.certificates import authority, localhost
from tests.helpers.door import Door

Told: TypeAlias = dict[str, object]
Answer: TypeAlias = tuple[int, Told]
Asked = TypeVar("Asked", ScaleRequested, ReloadRequested, RestartRequested, DumpRequested, StopRequested)

ROOT = Path(__file__).parents[2]
EACH = [pytest.param(row, id=row.name) for row in ROWS.values() if row.name not in ("app", "config")]
OTHER_DEFAULTS = {
    "bind": "unix:/x",
    "workers": "7",
    "unix_mode": "0600",
    "app_dir": "/",
    "chdir": "/",
    "pythonpath": "/",
    "reload_dir": "/",
    "env_file": str(ROOT / "tests" / "apps" / "shop.env"),
    "log_config": str(ROOT / "tests" / "apps" / "logging.json"),
    "umask": "0027",
    "statsd": "127.0.0.1:8125",
    "root_path": "/x",
    "health_path": "/x",
    "forwarded_allow_ips": "10.0.0.1",
    "forwarded_headers": "forwarded",
    "proxy_allow_ips": "10.0.0.1",
    "underscore_headers": "keep",
    "request_id": "X-Request-ID",
    "access_log": "-",
    "ssl_context": "a.b:c",
    "access_log_format": "%h %(s)s",
    "control_socket": "@x",
    "name": "x",
    "max_memory": "1048576",
    "max_requests_jitter": "0",
    "interface": "asgi2",
    "header": "A: b",
    "lifespan": "on",
    "http": "h11",
    "loop": "asyncio",
    "log_format": "json",
    "log_level": "debug",
    "exit_when_failed": "on",
    "limit_header_bytes": "4096",
    "ws_max_size": "4096",
    "ssl_cert_reqs": "optional",
    "ssl_ciphers": "HIGH",
    "ssl_min_version": "1.3",
    "admin_bind": "127.0.0.1:0",
    "admin_hosts": "a.example",
    "user": pwd.getpwuid(os.geteuid()).pw_name,
    "group": grp.getgrgid(os.getegid()).gr_name,
}
"""A value for every setting whose kind is not simply a number, or not any number."""


def companions(row: Row) -> list[str]:
    """What must be given besides, so that this setting makes sense at all."""
    if row.name == "limit_header_bytes":
        return ["--limit-request-line=64"]
    if row.name.startswith("reload_"):
        return ["--reload"]
    if row.name == "group":
        return [f"--user={OTHER_DEFAULTS['user']}"]
    if row.name == "proxy_allow_ips":
        return ["--proxy-protocol"]
    if not row.name.startswith("ssl_"):
        return []
    pair = localhost()
    files = {"ssl_certfile": pair.certificate, "ssl_keyfile": pair.key, "ssl_ca_certs": authority().certificate}
    return [f"--{name.replace('_', '-')}={file}" for name, file in files.items() if name != row.name]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SUPERVISOR_D_") or name in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
            monkeypatch.delenv(name)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def config_of(*arguments: str) -> Mapping[str, tuple[str, str]]:
    """What `config --json` tells, by name: (value, source)."""
    result = invoke("config", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return {row["name"]: (row["value"], row["source"]) for row in json.loads(result.stdout)["settings"]}


def text_for(row: Row) -> str:
    if row.name in OTHER_DEFAULTS:
        return OTHER_DEFAULTS[row.name]
    if row.name in ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs"):
        return localhost().key if row.name == "ssl_keyfile" else localhost().both
    return row.render(64 if row.option.kind.name in ("count", "bytes", "workers", "threads", "descriptor") else 2.0)


@pytest.mark.parametrize("row", [param for param in EACH if not ROWS[str(param.id)].option.secret])
def test_config_shows_each_flag_as_given_with_its_source(row: Row) -> None:
    if row.option.kind.is_flag:
        flag = f"--no-{row.long}" if row.default else f"--{row.long}"
        assert config_of(flag)[row.long] == ("off" if row.default else "on", f"flag {flag}")
        return
    text = text_for(row)
    assert config_of(f"--{row.long}={text}", *companions(row))[row.long] == (text, f"flag --{row.long}")


def test_config_as_a_table_has_a_line_for_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    lines = invoke("config", "--bind", ":80").stdout.splitlines()
    assert len(lines) == len(ROWS)
    told = [" ".join(line.split()) for line in lines]
    assert "workers = 3 env WEB_CONCURRENCY" in told
    assert "bind = 0.0.0.0:80 flag --bind" in told
    assert "graceful-timeout = 30s default" in told


def test_config_writes_no_control_character_to_a_terminal() -> None:
    assert "\x1b" not in invoke("config", "--access-log", "/x\x1b[2J").stdout


@pytest.mark.parametrize("command", ["run", "check", "config"])
def test_refused_settings_are_told_line_by_line_with_exit_code_2(command: str) -> None:
    result = invoke(command, "main:app", "--workers", "0", "--http", "h2")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "supervisor-d: workers: must be at least 1, not 0 (flag --workers)",
        "supervisor-d: http: must be one of auto, httptools, h11, not 'h2' (flag --http)",
    ]


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_application_must_be_given(command: str) -> None:
    result = invoke(command)
    assert result.exit_code == 2
    assert result.stderr == "supervisor-d: app: must be given, as module:attribute, such as main:app\n"


@pytest.mark.parametrize("arguments", [["run", "--nope"], ["nope"], ["run", "a:b", "c:d"], ["ctl", "nope"]])
def test_what_no_command_knows_is_usage(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


def test_the_version_names_what_speed_depends_on() -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    for word in ("supervisor-d", "Python", "uvloop", "httptools"):
        assert word in result.stdout


def test_python_dash_m_is_the_same_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "supervisor_d", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("Usage: supervisor-d ")
    for word in ("run", "check", "config", "ctl"):
        assert f"\n  {word} " in result.stdout


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path / "api.sock")
    yield door
    door.close()


def ctl(door: Door, *arguments: str) -> Result:
    """A reading command against the door."""
    return door.run_beside(lambda: invoke("ctl", "--socket", door.control.address, *arguments))


def ctl_answered(
    door: Door, fact: type[Asked], *arguments: str, answer: Answer, progress: Sequence[Told] = ()
) -> tuple[Result, Asked]:
    """A writing command, and the fact that it became; the ticket is told this progress and this answer."""
    heard: list[Asked] = []

    def policy() -> None:
        heard.append(door.expect(fact))
        ticket = heard[0].ticket
        assert ticket is not None
        for step in progress:
            door.control.progress(ticket, step)
        door.control.answer(ticket, *answer)

    result = door.run_beside(lambda: invoke("ctl", "--socket", door.control.address, *arguments), policy)
    return result, heard[0]


@pytest.mark.parametrize("command", ["status", "workers", "config", "incidents", "events", "explain workers"])
def test_a_reading_command_shows_text_or_the_object_itself(door: Door, command: str) -> None:
    shown, told = ctl(door, *command.split()), ctl(door, *command.split(), "--json")
    assert (shown.exit_code, told.exit_code) == (0, 0)
    assert isinstance(json.loads(told.stdout), dict)
    assert shown.stdout != told.stdout
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize(
    ("number", "change", "relative"), [("6", 6, False), ("+2", 2, True), ("-2", -2, True), ("-10", -10, True)]
)
def test_scale_takes_a_number_or_a_difference(door: Door, number: str, change: int, relative: bool) -> None:
    answer: Answer = (200, {"old": 4, "target": 6})
    result, fact = ctl_answered(door, ScaleRequested, "scale", number, answer=answer)
    assert (fact.change, fact.relative) == (change, relative)
    assert (result.exit_code, result.stdout) == (0, "workers: 4 -> 6\n")


@pytest.mark.parametrize("arguments", [["scale", "x"], ["scale", "--x"], ["scale", "1.5"], ["scale"], ["dump", "x"]])
def test_ill_formed_arguments_are_usage_before_any_daemon_is_looked_for(arguments: list[str]) -> None:
    assert invoke("ctl", "--socket", "/none.sock", *arguments).exit_code == 2


def test_without_a_daemon_the_exit_code_is_3() -> None:
    result = invoke("ctl", "--socket", "/none.sock", "status")
    assert result.exit_code == 3
    assert result.stderr == "supervisor-d: no daemon listens at /none.sock\n"


def test_the_socket_is_taken_from_the_environment(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_D_CONTROL_SOCKET", door.control.address)
    assert door.run_beside(lambda: invoke("ctl", "status")).exit_code == 0


def test_a_refusal_exits_with_1_and_its_reason_on_standard_error(door: Door) -> None:
    answer: Answer = (409, {"error": "that many cannot be"})
    result, _ = ctl_answered(door, ScaleRequested, "scale", "1000", answer=answer)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "supervisor-d: that many cannot be\n")


@pytest.mark.parametrize("option", ["--socket", "--name", "--expect-user"])
def test_an_option_of_ctl_behind_its_command_is_refused_with_its_place(option: str) -> None:
    result = CliRunner().invoke(cli, ["ctl", "status", option, "main"], prog_name="supervisor-d")
    assert result.exit_code == 2
    assert f"{option} stands before the command: `supervisor-d ctl {option} ... status`." in result.stderr


def test_reload_shows_progress_and_exits_with_0_when_committed(door: Door) -> None:
    result, fact = ctl_answered(
        door,
        ReloadRequested,
        "reload",
        progress=[{"phase": "rolling", "generation": 2, "replaced": 1, "target": 2}],
        answer=(200, {"outcome": "committed", "generation": 2, "duration_s": 1.5}),
    )
    assert not fact.dry_run
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "rolling: generation 2, 1 of 2 replaced"
    assert "committed" in result.stdout.splitlines()[1]


def test_a_reload_that_was_rolled_back_exits_with_1_and_the_traceback_on_standard_error(door: Door) -> None:
    body = {"outcome": "rolled_back", "reason": "boot failed", "traceback": "Traceback:\n  boom\x1b", "generation": 2}
    result, _ = ctl_answered(door, ReloadRequested, "reload", answer=(500, body))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[:2] == ["Traceback:", "  boom\\x1b"]
    assert "rolled back: boot failed" in result.stderr.splitlines()[2]


def test_a_dry_run_is_asked_for_as_one(door: Door) -> None:
    answer: Answer = (200, {"outcome": "proved", "generation": 2, "duration_s": 1.0})
    result, fact = ctl_answered(door, ReloadRequested, "reload", "--dry-run", answer=answer)
    assert fact.dry_run
    assert result.exit_code == 0


def test_a_reload_that_is_not_waited_for_has_no_ticket(door: Door) -> None:
    result = ctl(door, "reload", "--no-wait")
    assert result.exit_code == 0
    assert door.expect(ReloadRequested).ticket is None


def test_a_dry_run_that_is_not_waited_for_is_refused() -> None:
    assert invoke("ctl", "--socket", "/none.sock", "reload", "--dry-run", "--no-wait").exit_code == 2


def test_restart_and_dump_name_their_slot_and_stop_its_haste(door: Door) -> None:
    replaced: Told = {"outcome": "replaced", "slot": 2, "reason": "asked for"}
    result, restarted = ctl_answered(door, RestartRequested, "restart", "2", answer=(200, replaced))
    assert (restarted.slot, result.exit_code, result.stdout) == (2, 0, "slot 2: replaced\n")
    result, dumped = ctl_answered(door, DumpRequested, "dump", "1", answer=(200, {"id": 7, "kind": "dump"}))
    assert (dumped.slot, result.exit_code) == (1, 0)
    assert "dump" in result.stdout
    result, stopped = ctl_answered(door, StopRequested, "stop", "--fast", answer=(202, {"stopping": True}))
    assert (stopped.fast, result.exit_code, result.stdout) == (True, 0, "stopping\n")


def test_a_restart_that_fails_shows_the_traceback(door: Door) -> None:
    body: Told = {"error": "it could not boot", "traceback": "Traceback: boom"}
    result, _ = ctl_answered(door, RestartRequested, "restart", "1", answer=(500, body))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["Traceback: boom", "supervisor-d: it could not boot"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes started meanwhile end by SIGINT, also where this one was started ignoring it, as a shell's `&` does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # execve(2) makes it the default for a child
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_followed_events_are_shown_as_they_come_until_interrupted(door: Door) -> None:
    command = [sys.executable, "-m", "supervisor_d", "ctl", "--socket", door.control.address, "events", "--follow"]
    shown = b""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = process.stdout.fileno()

        def read(_: int) -> None:
            nonlocal shown
            shown += os.read(output, 65536)
            door.reactor.tell(Started())  # wakes run_until

        door.reactor.watch(output, READ, read)
        try:
            door.run_until(lambda: b"\n" in shown)
            door.control.publish({"timestamp": "t", "level": "info", "event": "worker.parked", "slot": 3})
            door.run_until(lambda: b"worker.parked" in shown)
        finally:
            door.reactor.forget(output)
            process.send_signal(signal.SIGINT)
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()  # else the context would wait for one that does not end
    assert b"slot=3" in shown


def test_health_is_that_the_master_answers_and_readiness_that_it_may_be_sent_requests(door: Door) -> None:
    result = ctl(door, "health")
    assert (result.exit_code, result.stdout) == (0, "api: healthy, pid 77\n")
    result = ctl(door, "health", "--ready")
    assert (result.exit_code, result.stdout) == (0, "ready: reloading, 1 of 2 workers ready\n")
    door.view = replace(door.view, status=replace(door.view.status, ready=0, reason="slot 2: no database"))
    assert ctl(door, "health").exit_code == 0
    result = ctl(door, "health", "--ready")
    assert result.exit_code == 1
    assert "not ready: reloading, 0 of 2 workers ready; slot 2: no database" in result.stderr
    lost = replace(door.view.status, ready=2, reason="", lost_listeners=("unix:/run/app.sock", "127.0.0.1:80"))
    door.view = replace(door.view, status=lost)
    result = ctl(door, "health", "--ready")
    assert result.exit_code == 1
    assert "2 of 2 workers ready; no client reaches unix:/run/app.sock, 127.0.0.1:80" in result.stderr
    assert "  lost       no client reaches unix:/run/app.sock, 127.0.0.1:80\n" in ctl(door, "status").stdout
    assert invoke("ctl", "--socket", "/none.sock", "health").exit_code == 3


@pytest.mark.parametrize("limit", [5, 8, 31])
def test_too_few_descriptors_for_any_daemon_are_refused_in_one_line(limit: int) -> None:
    limited = ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh", sys.executable, "-m", "supervisor_d", "run", "a:b"]
    told = subprocess.run(limited, capture_output=True, text=True, cwd=ROOT, check=False)
    assert told.returncode == 2
    assert told.stdout == ""
    (line,) = told.stderr.splitlines()
    assert line.startswith(f"supervisor-d: the limit of open files is {limit} (ulimit -n,")
    assert "at least 32 are needed" in line


@pytest.mark.parametrize("free", [2, 4, 6])
def test_a_daemon_that_finds_no_descriptor_left_says_so_in_one_line(free: int) -> None:
    code = (
        f"import os, sys\nfrom supervisor_d import run\nkept = [os.dup(2) for _ in range(40 - 3 - {free})]\n"
        "sys.exit(run('a:b', bind='127.0.0.1:0', control_socket='off'))"
    )
    limited = ["sh", "-c", 'ulimit -n 40 && exec "$@"', "sh", sys.executable, "-c", code]
    told = subprocess.run(limited, capture_output=True, text=True, cwd=ROOT, check=False)
    assert told.returncode in (1, 4)  # 4: it was to be the listener's
    assert "Traceback" not in told.stderr
    assert "oo many open files" in told.stderr.splitlines()[-1]


def test_a_command_that_is_called_from_python_leaves_the_signals_alone() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert invoke("run", "main:app", "--workers", "0").exit_code == 2
    assert {number: signal.getsignal(number) for number in before} == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
