"""Where a peer's command line is found: in a command, a shell's line, a Dockerfile, a unit, a compose file."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.compat.migrate import compose, dockerfile, unit
from supervisor_d.compat.migrate.found import find, in_shell
from supervisor_d.compat.migrate.read import read_file
from supervisor_d.errors import ConfigurationError


@pytest.mark.parametrize(
    ("line", "peer", "words"),
    [
        ("gunicorn app:app -w 4", "gunicorn", "app:app -w 4"),
        ("/opt/venv/bin/uvicorn main:app", "uvicorn", "main:app"),
        ("python3.12 -X dev -m uvicorn main:app", "uvicorn", "main:app"),
        ("exec dumb-init -- granian --interface asgi main:app", "granian", "--interface asgi main:app"),
        ("uv run --frozen hypercorn main:app", "hypercorn", "main:app"),
        ("/usr/bin/env gunicorn main:app", "gunicorn", "main:app"),
        ("sh -c 'exec gunicorn main:app'", "gunicorn", "main:app"),
    ],
)
def test_what_starts_the_program_is_passed_over(line: str, peer: str, words: str) -> None:
    found = in_shell(line, {}, source="here")
    assert (found.peer, " ".join(found.words)) == (peer, words)


@pytest.mark.parametrize("line", ["echo gunicorn", "/start.sh", "python -m flask run", "", "celery -A uvicorn worker"])
def test_another_program_is_refused_by_name(line: str) -> None:
    with pytest.raises(ConfigurationError, match="none of gunicorn, uvicorn, hypercorn, granian"):
        in_shell(line, {}, source="here")


def test_a_starter_that_changes_the_application_stays_and_other_commands_are_told() -> None:
    line = "cd /srv && python manage.py migrate && opentelemetry-instrument --traces_exporter console gunicorn a:b"
    found = in_shell(line, {}, source="here")
    assert found.directory == "/srv"
    assert found.notes == (
        "Keep `opentelemetry-instrument --traces_exporter console` in front.",
        "The line also runs `python manage.py migrate`: keep that.",
    )


def test_variables_are_put_in_and_an_unknown_one_is_refused() -> None:
    line = "PORT=1 gunicorn -b :${PORT:-8000} -w $WORKERS a:b"
    found = in_shell(line, {"WORKERS": "3"}, source="here")
    assert found.words == ("-b", ":8000", "-w", "3", "a:b")
    assert found.environment == {"WORKERS": "3", "PORT": "1"}
    with pytest.raises(ConfigurationError, match=r"here: \$WORKERS is not known; say it with --env WORKERS=VALUE"):
        in_shell(line, {}, source="here")


DOCKERFILE = """\
# syntax=docker/dockerfile:1
FROM python:3.12 AS build
CMD ["uvicorn", "wrong:app"]
FROM python:3.12-slim
ENV WORKERS=2 NAME="a b"
ENV OLD value
WORKDIR /app
ENTRYPOINT ["tini", "--"]
# between
CMD ["gunicorn", \\
     "-w", "2", "main:app"]
"""


def test_of_a_dockerfile_the_last_stage_counts() -> None:
    found = dockerfile.read(DOCKERFILE, "Dockerfile", {})
    assert (found.peer, found.words, found.directory) == ("gunicorn", ("-w", "2", "main:app"), "/app")
    assert found.source == "Dockerfile:10"
    assert found.environment == {"WORKERS": "2", "NAME": "a b", "OLD": "value"}


def test_the_shells_form_of_a_dockerfile() -> None:
    text = "FROM a\nENV PORT=80\nCMD exec uvicorn main:app --port $PORT\n"
    assert dockerfile.read(text, "D", {"PORT": "81"}).words == ("main:app", "--port", "81")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FROM a\nRUN b\n", "D: its last stage has neither CMD nor ENTRYPOINT"),
        ("FROM a\nCMD [uvicorn]\n", "D:2: not a JSON array"),
        ("FROM a\nCMD [1]\n", "D:2: an array of texts is needed"),
        ("FROM a\nCMD nginx\n", "D:2: none of gunicorn"),
    ],
)
def test_a_dockerfile_without_a_peer_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told.replace("[", r"\[")):
        dockerfile.read(text, "D", {})


def test_a_unit() -> None:
    text = """\
[Unit]
ExecStart=wrong
[Service]
# a comment
Environment="PORT=80" NAME=x
EnvironmentFile=-/etc/default/app
WorkingDirectory=/srv/app
ExecStart=-/srv/venv/bin/gunicorn \\
    --bind 0.0.0.0:${PORT} \\
    --access-logformat "%%(h)s" main:app
"""
    found = unit.read(text, "app.service", {})
    assert found.words == ("--bind", "0.0.0.0:80", "--access-logformat", "%(h)s", "main:app")
    assert (found.source, found.directory) == ("app.service:8", "/srv/app")
    assert found.notes == ("/etc/default/app was not read: what it sets may be for the peer, too.",)
    with pytest.raises(ConfigurationError, match="has no ExecStart="):
        unit.read("[Service]\n", "app.service", {})


COMPOSE = """
services:
  db: {image: postgres}
  web:
    command: uvicorn main:app --port $$PORT
    environment: [PORT=80, FROM_OUTSIDE]
    working_dir: /app
"""


def test_a_compose_file() -> None:
    pytest.importorskip("yaml", reason="PyYAML reads compose files")
    found = compose.read(COMPOSE, "compose.yml", {}, "")
    assert (found.words, found.directory) == (("main:app", "--port", "80"), "/app")
    two = COMPOSE + "  other: {command: [gunicorn, 'a:b']}\n"
    assert compose.read(two, "compose.yml", {}, "other").words == ("a:b",)
    with pytest.raises(ConfigurationError, match="web, other: choose with --service"):
        compose.read(two, "compose.yml", {}, "")
    with pytest.raises(ConfigurationError, match="no service 'wbe'; there are db, web"):
        compose.read(COMPOSE, "compose.yml", {}, "wbe")
    with pytest.raises(ConfigurationError, match="not YAML"):
        compose.read("a: [", "compose.yml", {}, "")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("Procfile", "worker: celery\nweb: gunicorn a:b\n", ("a:b",)),
        ("start.sh", "#!/bin/sh\nset -e\npython manage.py migrate\nexec gunicorn a:b \\\n  -w 2\n", ("a:b", "-w", "2")),
        ("Dockerfile.prod", "FROM a\nCMD gunicorn a:b\n", ("a:b",)),
        ("gunicorn.conf.py", "workers = 2\n", ("-c", "{place}/gunicorn.conf.py")),
    ],
)
def test_a_file_is_read_by_its_kind(tmp_path: Path, name: str, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(text)
    found = read_file(tmp_path / name, {}, "")
    assert found.words == tuple(word.format(place=tmp_path) for word in words)


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("gunicorn a:b\n")
    with pytest.raises(ConfigurationError, match="not known what this is; accepted: a command line, a Dockerfile"):
        read_file(tmp_path / "notes.txt", {}, "")
    with pytest.raises(ConfigurationError, match="No such file"):
        read_file(tmp_path / "none", {}, "")


def test_words_of_no_peer_are_told_whole() -> None:
    with pytest.raises(ConfigurationError, match="is started by: nginx -g 'daemon off;'"):
        find(["nginx", "-g", "daemon off;"], {})
