"""The servers that are compared, each as its documentation starts it for production; one event loop in a worker."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.forms import INSTALLED, PLAIN

NGINX: Final = """
daemon off; worker_processes 1; pid {directory}/pid; error_log stderr error;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {directory};
  server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "Hello, world!"; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a server is to do. `python` is the interpreter that has all of them."""

    python: Path
    app: str
    port: int
    workers: int = 1
    access_log: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    preload: bool = False

    @property
    def programs(self) -> Path:
        return self.python.parent


Command = Callable[[Setup], list[str]]


def ours(*more: str) -> Command:
    """As a user runs it: the defaults."""

    def command(setup: Setup) -> list[str]:
        words = [str(setup.python), "-m", "supervisor_d", "run", setup.app, "--bind", f"127.0.0.1:{setup.port}"]
        words += ["--workers", str(setup.workers), "--control-socket", f"@bench-{setup.port}", *more]
        if setup.access_log is not None:
            words += ["--access-log", str(setup.access_log)]
        if setup.certificate is not None:
            words += ["--ssl-certfile", str(setup.certificate), "--ssl-keyfile", str(setup.key)]
        return words + (["--preload"] if setup.preload else [])

    return command


def uvicorn(*more: str) -> Command:
    """Its access log is a logger that writes to standard output."""

    def command(setup: Setup) -> list[str]:
        words = [str(setup.python), "-m", "uvicorn", setup.app, "--port", str(setup.port), "--loop", "uvloop", *more]
        if setup.workers > 1:
            words += ["--workers", str(setup.workers)]
        words += ["--log-level", "info"] if setup.access_log is not None else ["--no-access-log"]
        if setup.certificate is not None:
            words += ["--ssl-certfile", str(setup.certificate), "--ssl-keyfile", str(setup.key)]
        return words

    return command


def gunicorn(setup: Setup) -> list[str]:
    words = [str(setup.programs / "gunicorn"), "-k", "asgi", "-w", str(setup.workers), "--keep-alive", "75"]
    words += ["-b", f"127.0.0.1:{setup.port}", setup.app]
    if setup.access_log is not None:
        words += ["--access-logfile", str(setup.access_log)]
    if setup.certificate is not None:
        words += ["--certfile", str(setup.certificate), "--keyfile", str(setup.key)]
    return words + (["--preload"] if setup.preload else [])


def granian(setup: Setup) -> list[str]:
    words = [str(setup.programs / "granian"), "--interface", "asgi", "--port", str(setup.port), "--loop", "uvloop"]
    words += ["--workers", str(setup.workers), "--runtime-mode", "st", "--http", "1"]
    if setup.access_log is not None:
        words += ["--access-log"]
    if setup.certificate is not None:
        words += ["--ssl-certificate", str(setup.certificate), "--ssl-keyfile", str(setup.key)]
    return [*words, setup.app]


def hypercorn(setup: Setup) -> list[str]:
    words = [str(setup.programs / "hypercorn"), "-k", "uvloop", "-w", str(setup.workers), "--keep-alive", "75"]
    words += ["-b", f"127.0.0.1:{setup.port}"]
    if setup.access_log is not None:
        words += ["--access-logfile", str(setup.access_log)]
    if setup.certificate is not None:
        words += ["--certfile", str(setup.certificate), "--keyfile", str(setup.key)]
    return [*words, setup.app]


def fastpysgi(setup: Setup) -> list[str]:
    module, _, name = setup.app.partition(":")
    code = f"import fastpysgi, {module} as m; fastpysgi.run(m.{name}, '127.0.0.1', {setup.port}, workers=1)"
    return [str(setup.python), "-c", code]


def floor(kind: str) -> Command:
    return lambda setup: [str(setup.python), "-m", "tests.bench.floors", kind, str(setup.port)]


def nginx(setup: Setup) -> list[str]:
    directory = Path(tempfile.mkdtemp(prefix="bench-nginx-"))
    (directory / "nginx.conf").write_text(NGINX.format(directory=directory, port=setup.port))
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")]


@dataclass(frozen=True, slots=True)
class Server:
    """One contestant. `can` is what it is asked for besides plain HTTP; `is_floor` answers nothing but hello; `form` is
    one of ours."""

    command: Command
    can: frozenset[str] = frozenset()
    is_floor: bool = False
    form: str = PLAIN


ALL: Final = frozenset(("websocket", "tls", "access log", "workers", "reload"))

SERVERS: Final[Mapping[str, Server]] = {
    "supervisor-d": Server(ours(), ALL | {"preload"}, form=INSTALLED),
    "supervisor-d h11": Server(ours("--http", "h11"), frozenset({"h11"}), form=INSTALLED),
    "supervisor-d plain": Server(ours(), ALL | {"preload"}),
    "uvicorn": Server(uvicorn("--http", "httptools", "--ws", "websockets-sansio"), ALL - {"reload"}),
    "uvicorn h11": Server(uvicorn("--http", "h11"), frozenset({"h11"})),
    "granian": Server(granian, ALL),
    "gunicorn": Server(gunicorn, ALL | {"preload"}),
    "hypercorn": Server(hypercorn, ALL - {"reload"}),
    "fastpysgi": Server(fastpysgi),
    "uvloop, fixed bytes": Server(floor("bytes"), is_floor=True),
    "uvloop + httptools": Server(floor("httptools"), is_floor=True),
    "nginx return 200": Server(nginx, is_floor=True),
}
OURS: Final = ("supervisor-d", "supervisor-d h11", "supervisor-d plain")
