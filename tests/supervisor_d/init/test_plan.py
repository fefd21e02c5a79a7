"""A plan's command gives the same settings elsewhere, whatever the environment is there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.init.plan import arguments_of, plan_of, this_program
from supervisor_d.settings.flags import SettingsCommand
from supervisor_d.settings.resolve import Resolved, resolve


def read_again(arguments: list[str]) -> Resolved:
    """The settings of `run` with these arguments, in an empty environment."""
    found: list[Mapping[str, object]] = []

    def keep(flags: Mapping[str, object]) -> None:
        found.append(flags)

    SettingsCommand("run", callback=keep).main(arguments, standalone_mode=False)
    return resolve(found[0], {})


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        ({}, {}),
        ({"workers": "auto", "bind": [":80", "[::1]:8001", "unix:/run/a b.sock"]}, {}),
        ({"factory": True, "date_header": False, "park": False}, {}),
        ({"graceful_timeout": "90", "max_memory": "300M", "unix_mode": "0600", "name": "shop"}, {}),
        ({"root_path": "/a$b%i"}, {"PORT": "9000", "WEB_CONCURRENCY": "3", "SUPERVISOR_D_KEEP_ALIVE": "1m"}),
    ],
)
def test_the_arguments_are_read_as_the_same_settings(flags: Mapping[str, object], environ: Mapping[str, str]) -> None:
    resolved = resolve({"app": "shop.main:make()" if "factory" not in flags else "shop:make", **flags}, environ)
    assert read_again(arguments_of(resolved)).settings == resolved.settings


def test_a_file_stays_a_file_and_is_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.toml").write_text('app = "main:app"\nworkers = 3\n')
    monkeypatch.chdir(tmp_path)
    resolved = resolve({"config": "app.toml", "timeout": "9"}, {})
    assert arguments_of(resolved) == ["main:app", "--config", str(tmp_path / "app.toml"), "--timeout", "9s"]
    plan = plan_of(resolved)
    assert str(tmp_path / "app.toml") in plan.needs
    assert plan.directory == str(tmp_path)


def test_a_relative_directory_of_the_application_is_named_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    plan = plan_of(resolve({"app": "main:app", "app_dir": "src"}, {}))
    assert plan.arguments[1:] == ("--app-dir", str(tmp_path / "src"))
    assert str(tmp_path / "src") in plan.needs


def test_the_budgets_are_the_policys() -> None:
    plan = plan_of(resolve({"app": "main:app", "graceful_timeout": "40", "shutdown_delay": "5"}, {}))
    assert plan.stop_s == 48
    assert plan.boot_s == 60


def test_the_program_is_the_script_beside_the_interpreter_or_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert this_program() == (str(tmp_path / "python"), "-m", "supervisor_d")
    (tmp_path / "supervisor-d").touch(mode=0o755)
    assert this_program() == (str(tmp_path / "supervisor-d"),)


def test_a_secret_is_not_printed() -> None:
    resolved = resolve({"app": "main:app"}, {"SUPERVISOR_D_SSL_KEYFILE_PASSWORD": "geheim"})
    with pytest.raises(ConfigurationError, match=r"^ssl-keyfile-password: is a secret") as raised:
        arguments_of(resolved)
    assert "geheim" not in str(raised.value)
