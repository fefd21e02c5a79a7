"""The daemon as other tools start it: supervisord, circus, systemd's socket activation, and behind nginx.

Nothing here polls: each front end holds the listening socket before the daemon runs, so that a request simply waits in
the accept queue until a worker takes it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers.daemon import free_listener

DEADLINE_S = 60.0
APP = "server_core.example:app"
RUN = f"{sys.executable} -m supervisor_d run {APP} --control-socket off"


def tool(name: str) -> str:
    """The path of a program beside this Python or on PATH; the test is skipped by name where there is none."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def running(
    command: Sequence[str], *, environ: dict[str, str] | None = None, pass_fds: Sequence[int] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A front end, ended by SIGTERM and waited for; what it printed is shown when a test fails."""
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **(environ or {})},
        pass_fds=pass_fds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            yield process
            process.send_signal(signal.SIGTERM)
            print(process.stdout.read())
        assert process.wait(DEADLINE_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    """Blocks until the front end printed this text; its end of output is a failure."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} was never printed:\n{''.join(seen)}")


def get(port: int, path: str = "/json") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_serves_as_the_child_of_a_supervisord_fcgi_program(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "supervisord.conf"
    config.write_text(
        f"""
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={tmp_path}/supervisord.pid
{"user=root" if os.getuid() == 0 else ""}
[fcgi-program:web]
command={RUN} --bind fd://0
socket=tcp://127.0.0.1:{port}
redirect_stderr=true
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
stopwaitsecs=30
"""
    )
    with running([tool("supervisord"), "-n", "-c", str(config)]) as process:
        wait_for_line(process, "spawned")
        status, body = get(port)
        assert status == 200
        assert b"pid" in body


TWO_OF_THEM = """
[unix_http_server]
file={place}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{place}/supervisor.sock
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={place}/supervisord.pid
{user}
[fcgi-program:web]
command={python} -m supervisor_d run server_core.example:app --bind fd://0 --name web-%(process_num)d
  --control-socket {place}/%(process_num)d.sock
process_name=%(program_name)s_%(process_num)d
numprocs=2
socket=tcp://127.0.0.1:{port}
redirect_stderr=true
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
stopwaitsecs=35
"""


class Asker(threading.Thread):
    """Asks on a new connection each time, until it is told to stop; `lost` are the errors."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.answers = 0
        self.lost: list[OSError | http.client.HTTPException] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                assert get(self.port)[0] == 200
                self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)


@contextlib.contextmanager
def asking(port: int) -> Iterator[Sequence[Asker]]:
    """Two of them, for as long as this lasts."""
    askers = [Asker(port) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        yield askers
    finally:
        for asker in askers:
            asker.stop.set()
            asker.join(DEADLINE_S)


def test_under_supervisord_a_reload_and_a_restart_of_one_of_two_lose_no_request(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "supervisord.conf"
    user = "user=root" if os.getuid() == 0 else ""
    config.write_text(TWO_OF_THEM.format(place=tmp_path, python=sys.executable, port=port, user=user))

    def order(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    supervisorctl = (tool("supervisorctl"), "-c", str(config))
    with running([tool("supervisord"), "-n", "-c", str(config)]) as process:
        for _ in range(2):
            wait_for_line(process, '"worker.ready"')
        with asking(port) as askers:
            program = (sys.executable, "-m", "supervisor_d", "ctl", "--socket")
            order(*program, f"{tmp_path}/0.sock", "reload")
            order(*program, f"{tmp_path}/1.sock", "reload")
            order(*supervisorctl, "restart", "web:web_0")
            order(*supervisorctl, "restart", "web:web_1")
        assert [asker.lost for asker in askers] == [[], []]
        assert all(asker.answers for asker in askers)
        # What the page says of the other form: without any of its processes there is no socket, and so no queue.
        order(*supervisorctl, "stop", "web:*")
        with pytest.raises(ConnectionRefusedError):
            get(port)


def test_it_serves_on_a_circus_socket(tmp_path: Path) -> None:
    port, control, publish = free_port(), free_port(), free_port()
    config = tmp_path / "circus.ini"
    config.write_text(
        f"""
[circus]
endpoint = tcp://127.0.0.1:{control}
pubsub_endpoint = tcp://127.0.0.1:{publish}
[watcher:web]
cmd = {RUN} --bind fd://$(circus.sockets.web)
use_sockets = True
copy_env = True
graceful_timeout = 30
[socket:web]
host = 127.0.0.1
port = {port}
"""
    )
    with running([tool("circusd"), str(config)]) as process:
        wait_for_line(process, "Arbiter now waiting for commands")
        status, body = get(port)
        assert status == 200
        assert b"pid" in body


def test_it_is_started_by_a_connection_through_systemd_socket_activate() -> None:
    port = free_port()
    command = [tool("systemd-socket-activate"), "-l", f"127.0.0.1:{port}", "-E", "PYTHONPATH", *RUN.split()]
    with running(command) as process:
        wait_for_line(process, "Listening on")
        status, body = get(port)
        assert status == 200
        assert b"pid" in body


def test_it_serves_behind_nginx_over_a_unix_socket(tmp_path: Path) -> None:
    nginx = tool("nginx")
    backend = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as upstream, free_listener() as front:
        upstream.bind(str(backend))
        upstream.listen(64)
        port = front.getsockname()[1]
        config = tmp_path / "nginx.conf"
        config.write_text(
            f"""
daemon off;
{"user root;" if os.getuid() == 0 else ""}
pid {tmp_path}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fastcgi;
    uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;
    upstream app {{ server unix:{backend}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $host;
        }}
    }}
}}
"""
        )
        daemon = [*RUN.split(), "--bind", f"fd://{upstream.fileno()}", "--workers", "2"]
        # nginx takes over listening sockets named in NGINX (its mechanism for upgrades): no guessed port, no wait.
        with (
            running(daemon, pass_fds=[upstream.fileno()]),
            running(
                [nginx, "-c", str(config), "-e", "stderr", "-p", str(tmp_path)],
                environ={"NGINX": f"{front.fileno()};"},
                pass_fds=[front.fileno()],
            ),
        ):
            for _ in range(5):
                status, body = get(port)
                assert status == 200
                assert b"pid" in body
