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
