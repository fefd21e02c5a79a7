"""`supervisor-d migrate` prints what can be started, and starts nothing."""

from __future__ import annotations

import os
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor_d.cli.program import cli

DOCKERFILE = """\
FROM python:3.12
ENV UVICORN_LIMIT_CONCURRENCY=9
WORKDIR /app
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "80", "--no-proxy-headers", "--ws-max-queue", "3"]
"""


def migrate(*words: str) -> Result:
    return CliRunner().invoke(cli, ["migrate", *words])


def test_a_dockerfile_becomes_a_command_line_a_file_and_what_differs(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    done = migrate(str(tmp_path / "Dockerfile"))
    assert done.exit_code == 0, done.output
    head, line, rest = done.output.split("\n", 2)
    assert head.startswith(f"# from {tmp_path}/Dockerfile:4: uvicorn main:app")
    words = shlex.split(line)
    assert words[:3] == ["supervisor-d", "run", "main:app"]
    assert {"--bind", "0.0.0.0:80", "--limit-concurrency", "9", "--forwarded-headers", "off"} <= set(words)
    file, differs = rest.split("# what differs\n")
    held = tomllib.loads(file)
    assert (held["app"], held["bind"], held["limit-concurrency"]) == ("main:app", ["0.0.0.0:80"], 9)
    assert "uvicorn --ws-max-queue has no effect" in differs
    assert "It is started in /app." in differs
    assert "UVICORN_LIMIT_CONCURRENCY" not in os.environ


def test_what_it_prints_is_what_run_takes(tmp_path: Path) -> None:
    line = migrate("uvicorn", "main:app", "--header", "A: b c", "--log-level", "trace", "--no-server-header").output
    words = shlex.split(line.split("\n")[1])[2:]
    shown = CliRunner().invoke(cli, ["config", *words])
    assert shown.exit_code == 0, shown.output
    (tmp_path / "x.toml").write_text(line.partition("--config supervisor-d.toml\n")[2].partition("# what differs")[0])
    by_file = CliRunner().invoke(cli, ["config", "--config", str(tmp_path / "x.toml")])
    assert by_file.exit_code == 0, by_file.output
    first, second = (
        {
            row.split("=")[0]: row.split("=")[1].rsplit("   ", 1)[0].strip()
            for row in text.splitlines()
            if "config" not in row
        }
        for text in (shown.output, by_file.output)
    )
    assert first == second


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("gunicorn", "a:b"), 2, "gunicorn's command line is not translated yet"),
        (("nothing",), 2, "nothing: no such file; accepted: a command line"),
        (("nginx", "-g", "daemon off;"), 2, "none of gunicorn, uvicorn"),
        (("uvicorn", "a:b", "--prot", "3"), 2, "--port"),
        (("uvicorn", "a:b", "--http", "zttp"), 2, "uvicorn --http: 'zttp' is not there"),
        (("--env", "X", "uvicorn", "a:b"), 2, "--env: must be NAME=VALUE, not 'X'"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(words: tuple[str, ...], code: int, told: str) -> None:
    done = migrate(*words)
    assert done.exit_code == code
    assert told in done.output
