"""Variables of other servers in the environment of `run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.settings.sources.foreign_variables import unread_variables
from tests.helpers.daemon import running


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SUPERVISOR_D_PORT": "1", "PORT": "1", "WEB_CONCURRENCY": "2", "FORWARDED_ALLOW_IPS": "*"},
        {"GUNICORN_CMD_ARGS": "", "UVICORN_PORT": ""},
        {"UVICORN_SERVICE_HOST": "10.0.0.1", "UVICORN_PORT": "tcp://10.0.0.1:80", "UVICORN_VERSIONS": "1"},
    ],
)
def test_what_is_no_option_of_another_server_is_not_named(environ: dict[str, str]) -> None:
    assert unread_variables(environ) is None


def test_options_of_other_servers_are_named_with_who_reads_them() -> None:
    assert unread_variables({"UVICORN_PORT": "80", "GUNICORN_CMD_ARGS": "-w 3", "UVICORN_SSL_KEYFILE": "k"}) == (
        "GUNICORN_CMD_ARGS, UVICORN_PORT, UVICORN_SSL_KEYFILE: not read by `run`; `run` has SUPERVISOR_D_ "
        "variables (env)"
    )


def test_a_daemon_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("async def app(scope, receive, send): ...\n")
    with running("--workers", "2", directory=tmp_path, env={"UVICORN_PORT": "80"}) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert (
            daemon.lines.count(
                "supervisor-d: UVICORN_PORT: not read by `run`, but by `supervisor-d uvicorn`; `run` has SUPERVISOR_D_ "
                "variables (env)"
            )
            == 1
        )
