"""A secret is nowhere to be read: not in answers, logs and messages, and not in what a worker is started with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.table import ROWS
from tests.helpers.certificates import authority
from tests.helpers.daemon import DEADLINE_S, PID_APP, Daemon, environment, running

PASSWORD = "hunter2"
VARIABLE = "SUPERVISOR_D_SSL_KEYFILE_PASSWORD"


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A directory with an application, a certificate and its encrypted key."""
    pair = authority().pair("localhost")
    shutil.copy(pair.certificate, tmp_path / "server.crt")
    command = ["openssl", "pkey", "-in", pair.key, "-aes256", "-passout", f"pass:{PASSWORD}", "-out", "server.key"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (tmp_path / "app.py").write_text(PID_APP)
    (tmp_path / "s.toml").write_text(f'ssl-keyfile-password = "{PASSWORD}"\n')
    return tmp_path


def seen_of(pid: int) -> str:
    """The command line and the environment of a process."""
    process = Path(f"/proc/{pid}")
    return (process / "cmdline").read_text() + (process / "environ").read_text()


def told_by(daemon: Daemon) -> str:
    """Everything that ctl can be told."""
    commands = ("status", "config", "events", "incidents", "workers")
    answers = [daemon.ctl(command, *form) for command in commands for form in ((), ("--json",))]
    answers += [daemon.ctl("reload"), daemon.ctl("dump", "1"), daemon.ctl("incidents", "--json")]
    return "".join(answer.stdout + answer.stderr for answer in answers)


@pytest.mark.parametrize("source", ["file", "environment"])
def test_workers_answers_and_logs_do_not_show_it(served: Path, source: str) -> None:
    env = {VARIABLE: PASSWORD} if source == "environment" else {}
    flags = ("--config", "s.toml") if source == "file" else ()
    files = ("--ssl-certfile", "server.crt", "--ssl-keyfile", "server.key")
    with running(*files, *flags, "--workers", "2", "--log-level", "debug", directory=served, env=env) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert not any(PASSWORD in seen_of(pid) for pid in daemon.pids().values())
        told = told_by(daemon)
        assert not any(PASSWORD in seen_of(pid) for pid in daemon.pids().values()), "those of the reload"
        assert "ssl-keyfile-password" in told
        assert "(hidden)" in told
        key = (served / "server.key").read_text().splitlines()[1:-1]
        for secret in (PASSWORD, *key):
            assert secret not in told
            assert secret not in daemon.transcript()
        assert PASSWORD not in Path(f"/proc/{daemon.pid}/cmdline").read_text()


WRONG: Mapping[str, str] = {
    "a list": 'ssl-keyfile-password = ["hunter2"]',
    "a table": 'ssl-keyfile-password = {a = "hunter2"}',
    "a nested one": "[ssl-keyfile-password]\nhunter2 = 1",
    "a NUL": r'ssl-keyfile-password = "hunter2\u0000"',
    "a number": "ssl-keyfile-password = 777000777",
    "a fraction": "ssl-keyfile-password = 777000777.5",
    "a date": "ssl-keyfile-password = 7770-11-22",
    "a switch": "ssl-keyfile-password = true",
    "no quotes": "ssl-keyfile-password = hunter2",
    "an open quote": 'ssl-keyfile-password = "hunter2',
    "a colon": "ssl-keyfile-password: hunter2",
    "twice": 'ssl-keyfile-password = "hunter2"\nssl-keyfile-password = "hunter2"',
    "a typo": 'ssl-keyfile-pasword = "hunter2"',
    "an underscore": 'ssl_keyfile_password = "hunter2"',
    "a typo and a list": 'ssl-keyfile-pasword = ["hunter2"]',
}


def refused(*flags: str, env: Mapping[str, str] | None = None, cwd: Path, command: str = "config") -> str:
    """What a command says that ends with exit code 2."""
    asked = subprocess.run(
        [sys.executable, "-m", "supervisor_d", command, "app:app", *flags],
        capture_output=True, text=True, timeout=DEADLINE_S, cwd=cwd, env=environment(env), check=False,
    )  # fmt: skip
    assert asked.returncode == 2, asked
    return asked.stdout + asked.stderr


def test_no_mistake_in_the_file_shows_it(tmp_path: Path) -> None:
    for what, text in WRONG.items():
        (tmp_path / "s.toml").write_text(text + "\n")
        with pytest.raises(ConfigurationError) as raised:
            resolve({"app": "app:app", "config": str(tmp_path / "s.toml")}, {})
        told = "".join(raised.value.problems)
        assert told, what
        assert "hunter2" not in told.replace("[ssl-keyfile-password]", ""), (what, told)
        assert "777" not in told, (what, told)
    (tmp_path / "s.toml").write_text(WRONG["a list"])
    told = refused("--config", "s.toml", cwd=tmp_path, command="run")
    assert told.startswith("supervisor-d: ssl-keyfile-password: must be text, and what was given is none (a secret")


def test_no_mistake_in_a_variable_or_an_argument_shows_it(tmp_path: Path) -> None:
    assert PASSWORD not in refused(env={"SUPERVISOR_D_SSL_KEYFILE_PASWORD": PASSWORD}, cwd=tmp_path)
    for wrong in ([PASSWORD], {"a": PASSWORD}, PASSWORD + "\0", PASSWORD.encode()):
        with pytest.raises(ConfigurationError) as raised:
            resolve({"app": "app:app", "ssl_keyfile_password": wrong}, {}, origin=Origin.ARGUMENT)
        assert PASSWORD not in str(raised.value)


def test_it_is_refused_on_a_command_line_with_what_to_do_instead(tmp_path: Path) -> None:
    for flag in (("--ssl-keyfile-password", PASSWORD), (f"--ssl-keyfile-password={PASSWORD}",)):
        for command in ("run", "check", "config"):
            told = refused(*flag, cwd=tmp_path, command=command)
            assert f"give it in a --config file or as {VARIABLE} (flag --ssl-keyfile-password)" in told
            assert PASSWORD not in told
    alone = subprocess.run(
        [sys.executable, "-m", "server_core", "app:app", "--ssl-keyfile-password", PASSWORD],
        capture_output=True, text=True, timeout=DEADLINE_S, cwd=tmp_path, env=environment(), check=False,
    )  # fmt: skip
    assert alone.returncode == 2
    assert f"set {VARIABLE}" in alone.stderr
    assert PASSWORD not in alone.stderr


def test_settings_do_not_show_it_when_they_are_printed() -> None:
    resolved = resolve({"app": "app:app", "ssl_keyfile_password": PASSWORD}, {}, origin=Origin.ARGUMENT)
    assert resolved.settings.server.ssl_keyfile_password == PASSWORD
    assert PASSWORD not in repr(resolved.settings)
    assert PASSWORD not in str(resolved.as_rows())
    assert [row.long for row in ROWS.values() if row.option.secret] == ["ssl-keyfile-password"]
