"""`supervisor-d uvicorn ...` as a process: its lines, its exit codes, its variables."""

from __future__ import annotations

import http.client
import signal
import socket
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S
from tests.helpers.peer_command import peer_command

APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http", "no lifespan"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})

def create():
    return app
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    return tmp_path


def ask(port: str, path: str) -> tuple[int, bytes, str | None]:
    client = http.client.HTTPConnection("127.0.0.1", int(port), timeout=DEADLINE_S)
    try:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read(), response.getheader("x-by")
    finally:
        client.close()


def test_it_serves_and_says_so_in_uvicorns_words(directory: Path) -> None:
    words = ("main:create", "--factory", "--port", "0", "--header", "X-By: us", "--ws-max-queue", "3")
    with peer_command("uvicorn", *words, directory=directory) as served:
        served.expect("supervisor-d: uvicorn --ws-max-queue has no effect: Reading pauses by bytes")
        port = served.expect(
            r"^INFO:     supervisor-d running on http://127\.0\.0\.1:(\d+) \(Press CTRL\+C to quit\)$"
        )[1]
        served.expect("^INFO:     Application startup complete.$")
        assert ask(port, "/a?b") == (200, b"/a", "us")
        served.process.send_signal(signal.SIGTERM)
        served.expect(r'^INFO:     127\.0\.0\.1:\d+ - "GET /a\?b HTTP/1\.1" 200 OK$')
        assert served.wait() == 0


def test_its_variables_are_read(directory: Path) -> None:
    env = {"UVICORN_APP": "main:app", "UVICORN_PORT": "0", "UVICORN_ACCESS_LOG": "false", "PORT": "1"}
    with peer_command("uvicorn", directory=directory, env=env) as served:
        port = served.expect(r"running on http://127\.0\.0\.1:(\d+) ")[1]
        served.expect("Application startup complete")
        assert ask(port, "/a")[0] == 200
        served.process.send_signal(signal.SIGINT)
        assert served.wait() == 0
        assert not [line for line in served.lines if "HTTP/1.1" in line]


def test_an_application_that_does_not_start_ends_it_with_3(directory: Path) -> None:
    with peer_command("uvicorn", "main:missing", "--port", "0", directory=directory) as served:
        assert served.wait() == 3
        assert any("missing" in line for line in served.lines[-2:]), served.lines


def test_a_port_that_is_taken_ends_it_with_1(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with peer_command("uvicorn", "main:app", "--port", port, directory=directory) as served:
            assert served.wait() == 1


def test_what_cannot_be_taken_ends_it_with_2(directory: Path) -> None:
    with peer_command("uvicorn", "main:app", "--http", "zttp", "--http2", directory=directory) as served:
        assert served.wait() == 2
        assert [line.partition(":")[2].strip() for line in served.lines] == [
            "uvicorn --http: 'zttp' is not there; one of auto, h11, httptools",
            "uvicorn --http2: HTTP/2 is not served yet: put a proxy in front that speaks it.",
        ]


LOGGING = """
import logging

logging.getLogger("uvicorn.error").info("imported")

class NoProbes(logging.Filter):
    def filter(self, record):
        return record.args[2] != "/health"

logging.getLogger("uvicorn.access").addFilter(NoProbes())
"""


def test_what_the_application_does_to_uvicorns_loggers_counts(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(LOGGING + APP)
    with peer_command("uvicorn", "main:app", "--port", "0", directory=tmp_path) as served:
        port = served.expect(r"running on http://127\.0\.0\.1:(\d+) ")[1]
        served.expect("^INFO:     imported$")
        served.expect("Application startup complete")
        for path in ("/a", "/health", "/b"):
            assert ask(port, path)[0] == 200
        served.expect(r'^INFO:     127\.0\.0\.1:\d+ - "GET /a HTTP/1\.1" 200 OK$')
        served.expect(r'^INFO:     127\.0\.0\.1:\d+ - "GET /b HTTP/1\.1" 200 OK$')
        assert not any("/health" in line for line in served.lines)
        served.process.send_signal(signal.SIGTERM)
        assert served.wait() == 0
