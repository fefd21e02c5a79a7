"""The server without a supervisor: where it listens, how it stops, and the exit code for each thing that goes wrong."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import server_core
from server_core.errors import BootError, ListenerError, UsageError
from tests.helpers.worker import DEADLINE_S, ROOT, Gate, Request, until

APP = "tests.apps.gated:app"


class Process:
    """One `python -m server_core`, its log read line by line."""

    def __init__(self, process: subprocess.Popen[str], gate: Gate) -> None:
        self._process = process
        self.gate = gate
        self.lines: list[str] = []

    def expect(self, event: str) -> Mapping[str, object]:
        """The fields of the next event of this name. The pipe ends with the process, so this cannot wait for ever."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if line.startswith("{") and json.loads(line)["event"] == event:
                fields: dict[str, object] = json.loads(line)
                return fields
        pytest.fail(f"no {event}:\n{''.join(self.lines)}")

    def address(self) -> tuple[str, int]:
        (address,) = self.expect("server.started")["addresses"]  # type: ignore[misc]
        host, _, port = str(address).rpartition(":")
        return host.strip("[]"), int(port)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def exit_code(self) -> int:
        _, rest = self._process.communicate(timeout=DEADLINE_S)
        self.lines.append(rest)
        return self._process.returncode

    @property
    def said(self) -> str:
        return "".join(self.lines)


@contextmanager
def started(*arguments: str, pass_fds: tuple[int, ...] = (), interpreter: tuple[str, ...] = ()) -> Iterator[Process]:
    gate = Gate()
    with subprocess.Popen(
        [sys.executable, *(interpreter or ("-m", "server_core")), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(*pass_fds, gate.theirs.fileno()),
        env={
            **os.environ,
            "GATE": str(gate.theirs.fileno()),
            "SUPERVISOR_D_SLOT": "-",
            "SUPERVISOR_D_GENERATION": "-",
            "SUPERVISOR_D_LOG_FORMAT": "json",
        },
    ) as process:
        try:
            yield Process(process, gate)
        finally:
            process.kill()
            gate.close()


def get(address: tuple[str, int], path: str) -> tuple[int, str]:
    with Request(address, path) as request:
        return request.answer()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_usr1_opens_the_access_log_anew(loop: str, tmp_path: Path) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    arguments = ("--access-log", str(log), "--access-log-format", "%U")
    with started(APP, "--port", "0", "--loop", loop, *arguments) as process:
        address = process.address()
        assert get(address, "/facts?1")[0] == 200
        log.rename(rotated)
        process.signal(signal.SIGUSR1)
        until(log.exists)
        assert rotated.read_text() == "/facts\n", "what was collected is in the old file"
        assert get(address, "/facts")[0] == 200
        process.signal(signal.SIGTERM)
        assert process.exit_code() == 0
    assert log.read_text() == "/facts\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_serves_and_a_signal_stops_it_after_its_requests_with_0(number: int, loop: str) -> None:
    with started(APP, "--port", "0", "--loop", loop) as process:
        address = process.address()
        assert get(address, "/facts")[1] == "- - {'supervisor_d.draining': {}, 'pool': 'open'} " + repr(
            ["tests.apps.gated:app", "--port", "0", "--loop", loop]
        )
        with Request(address, "/hold") as held:
            process.gate.expect("holding")
            process.signal(number)
            until(lambda: refuses(address))
            process.gate.open()
            assert held.answer() == (200, "held")
        process.gate.expect("shutdown")
        process.expect("server.stopped")
        assert process.exit_code() == 0


def refuses(address: tuple[str, int]) -> bool:
    with socket.socket() as client:
        return client.connect_ex(address) != 0


def test_a_second_interrupt_gives_up_what_is_unfinished() -> None:
    with started(APP, "--port", "0") as process:
        address = process.address()
        with Request(address, "/hold"):
            process.gate.expect("holding")
            process.signal(signal.SIGINT)
            until(lambda: refuses(address))
            process.signal(signal.SIGINT)
            process.gate.expect("cancelled")
            process.gate.expect("shutdown")
            assert process.exit_code() == 0


def test_a_signal_while_the_application_starts_stops_it_with_0() -> None:
    with started("tests.apps.gated:slow_start", "--port", "0") as process:
        process.gate.expect("starting")
        process.signal(signal.SIGTERM)
        process.gate.expect("cancelled")
        assert process.exit_code() == 0


def test_an_interrupted_import_stops_it_with_0() -> None:
    with started("tests.apps.gated_import:app", "--port", "0") as process:
        process.gate.expect("importing")
        process.signal(signal.SIGINT)
        assert process.exit_code() == 0
        assert "Traceback" not in process.said


def test_max_requests_ends_it_in_good_order() -> None:
    with started(APP, "--port", "0", "--max-requests", "1") as process:
        assert get(process.address(), "/") == (200, "ok")
        process.gate.expect("shutdown")
        assert process.exit_code() == 0


def test_sys_exit_outside_a_request_ends_it_in_good_order_with_that_code() -> None:
    with started(APP, "--port", "0") as process:
        assert get(process.address(), "/leave-later") == (200, "soon")
        process.gate.expect("shutdown")
        assert process.exit_code() == 5


# Where it listens


def test_it_serves_on_a_unix_socket_and_removes_it(tmp_path: Path) -> None:
    path = str(tmp_path / "web.sock")
    with started(APP, "--uds", path) as process:
        told = process.expect("server.started")
        assert told["addresses"] == [f"unix:{path}"]
        assert (told["loop"], told["http"]) == ("uvloop", "httptools")  # what auto came to, not the word
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(path)
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        process.signal(signal.SIGTERM)
        assert process.exit_code() == 0
        assert not Path(path).exists()


def test_it_replaces_the_socket_file_of_a_dead_process(tmp_path: Path) -> None:
    path = str(tmp_path / "web.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with started(APP, "--uds", path) as process:
        process.expect("server.started")
        assert stat.S_ISSOCK(os.stat(path).st_mode)


def test_it_serves_on_an_inherited_descriptor() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = str(listener.fileno())
        with started(APP, "--fd", fd, pass_fds=(listener.fileno(),)) as process:
            assert process.address() == listener.getsockname()
            assert get(listener.getsockname(), "/") == (200, "ok")


def test_it_serves_what_the_interface_says_with_the_headers_that_it_was_given() -> None:
    arguments = ("tests.apps.loadable:wsgi", "--port", "0", "--interface", "wsgi", "--header", "X-Made-By: us, them")
    with started(*arguments) as process:
        host, port = process.address()
        connection = http.client.HTTPConnection(host, port, timeout=DEADLINE_S)
        connection.request("POST", "/a?b=c", b"body", {"Host": "h"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["X-Host"], answer.headers["X-Made-By"]) == (201, "h", "us, them")
        assert answer.read() == b"POST |/a?b=c body"
        connection.close()
        process.signal(signal.SIGTERM)
        assert process.exit_code() == 0


def test_it_serves_ipv6() -> None:
    with started(APP, "--host", "::1", "--port", "0") as process:
        address = process.address()
        assert address[0] == "::1"
        assert get(address, "/") == (200, "ok")


@contextmanager
def obstacle(kind: str, tmp_path: Path) -> Iterator[tuple[list[str], str]]:
    """Arguments that cannot be listened on, and what is said of them."""
    path = str(tmp_path / "web.sock")
    if kind == "busy port":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            yield ["--port", port], f"cannot listen on 127.0.0.1:{port}: [Errno 98]"
    elif kind == "living socket":
        with socket.socket(socket.AF_UNIX) as living:
            living.bind(path)
            living.listen()
            yield ["--uds", path], "another process is listening there"
    elif kind == "file":
        Path(path).touch()
        yield ["--uds", path], "it exists, and is no socket"
    elif kind == "no listener":
        with socket.socket() as idle:
            yield ["--fd", str(idle.fileno())], "a socket, but not a listening one"
    else:
        yield ["--fd", "999"], "cannot listen on fd://999: [Errno 9]"


@pytest.mark.parametrize("kind", ["busy port", "living socket", "file", "no listener", "no descriptor"])
def test_what_cannot_be_listened_on_is_told_and_exits_with_4(kind: str, tmp_path: Path) -> None:
    with obstacle(kind, tmp_path) as (arguments, said):
        fds = (int(arguments[1]),) if kind == "no listener" else ()
        with started(APP, *arguments, pass_fds=fds) as process:
            assert process.exit_code() == 4
            assert said in process.said


# What it is told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'APP'"),
        (["main.py"], "did you mean main:app?"),
        ([APP, "--tempo", "1"], "No such option"),
        ([APP, "--keep-alive", "soon"], "keep_alive: must be a length of time"),
        ([APP, "--port", "70000"], "70000"),
        ([APP, "--uds", "x", "--fd", "3"], "uds, fd: only one of them can be given"),
        ([APP, "--app-dir", "/nowhere"], "app-dir: '/nowhere' is not a directory"),
    ],
)
def test_wrong_usage_is_told_and_exits_with_2(arguments: list[str], said: str) -> None:
    with started(*arguments, *(["--port", "0"] if arguments[1:2] != ["--port"] and arguments else [])) as process:
        assert process.exit_code() == 2
        assert said in process.said


@pytest.mark.parametrize(
    ("app", "last"),
    [
        ("tests.apps.gated:failing_start", "LookupError: no database"),
        ("tests.apps.loadable:make_error()", "LookupError: no database"),
        ("tests.apps.absent:app", "looked for first in"),
    ],
)
def test_an_application_that_cannot_boot_exits_with_3_and_its_traceback_is_the_last_thing_printed(
    app: str, last: str
) -> None:
    with started(app, "--port", "0") as process:
        assert process.exit_code() == 3
        assert last in process.said.splitlines()[-1]


def test_help_shows_every_setting_and_version_the_version() -> None:
    for argument, said in (("--help", "--limit-request-fields"), ("--version", server_core.__version__)):
        done = subprocess.run(
            [sys.executable, "-m", "server_core", argument],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
        )
        assert said in done.stdout


# From Python


def test_run_serves_an_application_object() -> None:
    script = "import server_core; from tests.apps.gated import app; server_core.run(app, port=0, loop='asyncio')"
    with started(interpreter=("-c", script.replace("port=0", "port=0, log_format='json'"))) as process:
        address = process.address()
        assert get(address, "/") == (200, "ok")
        process.signal(signal.SIGTERM)
        assert process.exit_code() == 0


def test_run_raises_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="tempo: is no setting"):
        server_core.run(APP, tempo=1)
    with pytest.raises(ListenerError, match="fd://999"):
        server_core.run(APP, fd=999)
    with pytest.raises(BootError, match="no module named"):
        server_core.run("tests.apps.absent:app", port=0)
    with pytest.raises(BootError, match="app: 42 must be callable, as an application is, and is an int"):
        server_core.run(42, port=0)


def test_run_is_refused_where_a_loop_runs_already() -> None:
    """As in a notebook."""

    async def cell() -> None:
        server_core.run(APP, port=0)

    with pytest.raises(UsageError, match=r"run: must not be called where an event loop runs already.*serve\(app\)"):
        asyncio.run(cell())


def test_run_is_refused_outside_the_main_thread() -> None:
    caught: list[BaseException] = []

    def main() -> None:
        try:
            server_core.run(APP, port=0)
        except UsageError as error:
            caught.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join(DEADLINE_S)
    assert "main thread" in str(caught[0])


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = (
        "import sys, server_core; print([m for m in sys.modules if m in ('asyncio', 'click', 'structlog', 'uvloop')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert done.stdout == "[]\n"


# The built-in example


def test_the_built_in_example_answers_on_each_of_its_pages() -> None:
    with started("server_core.example:app", "--port", "0", "--root-path", "/shop") as process:
        address = process.address()
        status, page = get(address, "/")
        assert (status, 'href="/shop/json"' in page) == (200, True)
        facts = json.loads(get(address, "/json")[1])
        assert facts["started_at"] > 0
        assert get(address, "/stream?chunks=2") == (200, "chunk 0\nchunk 1\n")
        assert get(address, "/slow?seconds=0.01")[0] == 200
        assert get(address, "/slow?seconds=soon")[0] == 400
        assert get(address, "/nowhere")[0] == 404
        assert json.loads(get(address, "/headers")[1])["root_path"] == "/shop"
        connection = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
        connection.request("POST", "/echo", b"x" * 300_000)
        with connection.getresponse() as response:
            assert response.read() == b"x" * 300_000
        connection.close()
