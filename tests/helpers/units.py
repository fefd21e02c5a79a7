"""An application with its units on a booted systemd (tests/helpers/machine.py), for tests and for showing it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from supervisor_d.init import systemd
from supervisor_d.init.plan import Plan, plan_of
from supervisor_d.init.target import Target
from supervisor_d.settings.resolve import resolve
from tests.helpers.daemon import REPOSITORY
from tests.helpers.machine import DEADLINE_S, Machine

APP = """
import asyncio, os, socket
GATE = os.environ["GATE"]
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if "GATED_START" in os.environ:
            await passed()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/gated":
        await passed()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{os.getpid()} {os.getuid()}".encode()})
async def passed():
    gate = socket.socket(socket.AF_UNIX)
    gate.connect(chr(0) + GATE)
    gate.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=gate)
    await reader.read()
    writer.close()
"""
"""Where it is to wait it connects to the gate, and waits until that closes the connection."""


class Gate:
    """Where the application waits: a name in the abstract namespace, which the machine shares with the test."""

    def __init__(self, name: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"\0{name}")
        self.listener.listen()
        self.listener.settimeout(DEADLINE_S)

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def reached(self) -> socket.socket:
        """The application is there; closing what is given back lets it go on."""
        return self.listener.accept()[0]


class Service:
    """One application with its units on the machine."""

    def __init__(self, machine: Machine, directory: Path, name: str) -> None:
        self.machine = machine
        self.directory = directory
        self.name = name
        self.unit = f"{name}.service"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    def install(self, drop_in: str = "", front_group: str = "", **flags: object) -> Plan:
        """Write the application and its units: as they are printed, and a drop-in says where the code under test is."""
        (self.directory / "app.py").write_text(APP)
        bind = flags.pop("bind", [f"127.0.0.1:{self.port}"])
        plan = plan_of(resolve({"app": "app:app", "name": self.name, "bind": bind, **flags}, {}, host=Target()))
        log = f"StandardError=append:{self.directory}/log"
        code = [line for line in systemd.homes([*plan.needs, str(REPOSITORY)]) if line != "ProtectHome=yes"]
        environ = f"Environment=PYTHONPATH={REPOSITORY} GATE={self.name}"
        here = "\n".join(["[Service]", environ, log, *code, drop_in, ""])
        service = systemd.service(plan, front_group)
        if "Requires=" in service or not any(kind in str(bind) for kind in ("fd://", "unix:")):
            self.machine.add(f"{self.name}.socket", systemd.socket(plan, front_group))
        self.machine.add(self.unit, service, here)
        return plan

    def ctl(self, verb: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = self.machine.ctl(verb, *options, self.unit, check=False)
        assert not check or done.returncode == 0, f"{verb}: {done.stderr}\n{self.log()}\n{self.machine.told()}"
        return done

    def show(self, *names: str) -> Mapping[str, str]:
        return self.machine.show(self.unit, *names)

    def supervisor_ctl(self, *command: str) -> list[str]:
        """The `ctl` command that asks as root, from outside of the service's sandbox."""
        place = f"/run/supervisor-d/{self.name}/control.sock"
        program = f"env PYTHONPATH={REPOSITORY} {sys.executable} -m supervisor_d"
        asked = f'exec {program} ctl --expect-user "$(stat -c %u {place})" --socket {place} "$@" --json'
        return ["sh", "-c", asked, "ctl", *command]

    def get(self, path: str = "/") -> tuple[int, list[str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode().split()
        finally:
            connection.close()

    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""
