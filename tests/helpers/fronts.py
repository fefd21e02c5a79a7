"""Real front ends with the files that `init` prints, or others: nginx, HAProxy, Caddy.

nginx and HAProxy are given a socket that listens already, so that nothing waits for them; Caddy, which takes none, says
when it is there. Each writes its errors to one file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from supervisor_d.cli.program import cli
from tests.helpers.daemon import DEADLINE_S, free_listener

PATH: Final = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"


@dataclass(frozen=True, slots=True)
class Launch:
    """How one front end is started. `noise` are lines of its log that every run has."""

    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()
    noise: tuple[str, ...] = ()
    stop: signal.Signals = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Front:
    """A front end that runs; `complaints` is for when it has ended."""

    name: str
    port: int
    log: Path
    noise: tuple[str, ...]

    def complaints(self) -> list[str]:
        """What it wrote to its error log, but for what every run has."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if line.strip() and not any(noise in line for noise in self.noise)]


def replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"{old!r} is not in the configuration"
    return text.replace(old, new)


def printed(name: str, *flags: str) -> str:
    """What `supervisor-d init NAME` prints for this command line; its exit code must be 0."""
    told = CliRunner().invoke(cli, ["init", name, "app:app", *flags])
    assert told.exit_code == 0, told.output
    return told.output


def nginx(text: str) -> Maker:
    """nginx with this nginx.conf; it takes over sockets that NGINX names, which is how it upgrades itself."""

    def make(program: str, place: Path, _: str, listener: socket.socket) -> Launch:
        port = listener.getsockname()[1]
        there = replaced(text, "listen 80;", f"listen 127.0.0.1:{port};")
        (place / "nginx.conf").write_text(replaced(there, "/dev/stdout", "/dev/null"))
        here = f"daemon off; pid {place}/nginx.pid; error_log {place}/front.log warn;"
        here += " user root;" if os.geteuid() == 0 and "\nuser " not in text else ""
        return Launch(
            [program, "-p", str(place), "-e", f"{place}/front.log", "-c", str(place / "nginx.conf"), "-g", here],
            {"NGINX": f"{listener.fileno()};"},
            [listener.fileno()],
            ("using inherited sockets",),
            signal.SIGQUIT,
        )

    return make


def haproxy(text: str) -> Maker:
    def make(program: str, place: Path, _: str, listener: socket.socket) -> Launch:
        there = replaced(text, "bind :80", f"bind fd@{listener.fileno()}")
        # Its log is of requests; of these the ones that went wrong are wanted, which is an option of its own.
        for kind in ("http", "tcp"):
            there = there.replace(f"    option {kind}log\n", f"    option {kind}log\n    option dontlog-normal\n")
        (place / "haproxy.cfg").write_text(there)
        return Launch([program, "-db", "-q", "-f", str(place / "haproxy.cfg")], pass_fds=[listener.fileno()])

    return make


def caddy(text: str) -> Maker:
    """Caddy opens its port itself: the listener only finds a free one."""

    def make(program: str, place: Path, _: str, listener: socket.socket) -> Launch:
        port = listener.getsockname()[1]
        listener.close()
        there = replaced(text, "\n:80 {", f"\nhttp://:{port} {{")
        there = there.replace("header_up X-Forwarded-Port 80", f"header_up X-Forwarded-Port {port}")
        options = "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n"
        (place / "Caddyfile").write_text(options + there)
        home = {name: str(place) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        return Launch(
            [program, "run", "--config", str(place / "Caddyfile"), "--adapter", "caddyfile"],
            home,
            noise=('"level":"info"',),
        )

    return make


Maker = Callable[[str, Path, str, socket.socket], Launch]
"""Program, directory, upstream (HOST:PORT or unix:PATH) and listener -> how it is started."""

FRONTS: Final[Mapping[str, Callable[[str], Maker]]] = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy}
"""By name: the file's text -> how it is started with that."""


def before(name: str, upstream: str) -> Maker:
    """A front end as it is printed for a daemon that listens there (HOST:PORT or unix:PATH)."""
    return FRONTS[name](printed(name, "--bind", upstream))


@contextlib.contextmanager
def fronted(name: str, place: Path, upstream: str, make: Maker | None = None) -> Iterator[Front]:
    """A front end before this upstream, as we print it or as `make` has it; skipped by name if not installed."""
    program = shutil.which(name, path=PATH)
    if program is None:
        pytest.skip(f"{name} is not installed")
    log = place / "front.log"
    with free_listener() as listener, socket.create_server(("127.0.0.1", 0)) as there:
        port = int(listener.getsockname()[1])
        launch = (make or before(name, upstream))(program, place, upstream, listener)
        command = list(launch.command)
        if name == "caddy":
            command += ["--pingback", f"127.0.0.1:{there.getsockname()[1]}"]
        with log.open("ab") as errors:
            process = subprocess.Popen(
                command,
                env={**os.environ, **launch.environ},
                pass_fds=launch.pass_fds,
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                cwd=place,
            )
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(b"here")
        try:
            if name == "caddy":
                there.settimeout(DEADLINE_S)
                there.accept()[0].close()
            yield Front(name, port, log, launch.noise)
        finally:
            process.send_signal(launch.stop)
            process.wait(DEADLINE_S)
