"""The units that `init systemd` prints for twelve command lines, each booted behind an nginx as `init nginx` prints it.

The nginx is a service of the machine, and its workers are nobody's in a group of their own: what it cannot reach as the
units leave it, no front end could.
"""

from __future__ import annotations

import grp
import http.client
import json
import shutil
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from supervisor_d.init import nginx
from supervisor_d.init.plan import Plan
from tests.helpers.certificates import localhost
from tests.helpers.fronts import PATH, replaced
from tests.helpers.machine import DEADLINE_S, Machine
from tests.helpers.units import Service

FRONT: Final = """\
[Unit]
DefaultDependencies=no
[Service]
Type=forking
PIDFile={place}/nginx.pid
ExecStart={program} -p {place} -e {place}/front.log -c {place}/nginx.conf -g "pid {place}/nginx.pid;"
"""

UNIX: Final = {"forwarded_allow_ips": "unix"}


@dataclass(frozen=True)
class Case:
    """Settings, in which {name}, {place} and {low} have their usual meaning; and what is to be seen of them."""

    settings: Mapping[str, object] = field(default_factory=dict)
    is_behind_a_group: bool = True
    files: tuple[str, ...] = ()
    """That the service must have made, outside of its sandbox."""
    uid: str = ""
    is_socket_unit: bool = False


CASES: Final[Mapping[str, Case]] = {
    "a port": Case(is_behind_a_group=False),
    "a port below 1024": Case({"bind": ["{low}:81"], "forwarded_allow_ips": "{low}"}, is_behind_a_group=False),
    "a socket in a directory of its own": Case({"bind": ["unix:/run/{name}/app.sock"], **UNIX}),
    "a socket beside the control socket": Case({"bind": ["unix:/run/supervisor-d/{name}/app.sock"], **UNIX}),
    "a socket for everybody": Case(
        {"bind": ["unix:/run/{name}/app.sock"], "unix_mode": "0666", **UNIX}, is_behind_a_group=False
    ),
    "a socket that only root can make": Case({"bind": ["unix:/run/{name}.sock"], **UNIX}, is_socket_unit=True),
    "a user's socket that only root can make": Case(
        {"user": "daemon", "group": "{group}", "bind": ["unix:/run/{name}.sock"], **UNIX}, uid="1", is_socket_unit=True
    ),
    "a key that only root can read": Case(
        {"ssl_certfile": ["{place}/tls.crt"], "ssl_keyfile": ["tls.key"]}, is_behind_a_group=False
    ),
    "a key in a config that only root can read": Case({"config": "closed.toml"}, is_behind_a_group=False),
    "an access log, a control socket": Case(
        {"access_log": "/var/log/{name}/access.log", "control_socket": "/run/{name}/control.sock"},
        is_behind_a_group=False,
        files=("/var/log/{name}/access.log", "/run/{name}/control.sock"),
    ),
    "a user, who logs where it may": Case(
        {"user": "daemon", "group": "{group}", "bind": ["unix:/run/{name}/app.sock"], "access_log": "logs/a", **UNIX},
        files=("{place}/logs/a",),
        uid="1",
    ),
    "TLS over a socket that only root can make": Case(
        {"ssl_certfile": ["tls.crt"], "ssl_keyfile": ["tls.key"], "bind": ["unix:/run/{name}.sock"], **UNIX},
        is_socket_unit=True,
    ),
}


def a_group() -> str:
    """A group of the machine that a front end would have."""
    known = {entry.gr_name for entry in grp.getgrall()}
    return next(name for name in ("www-data", "nginx", "daemon") if name in known)


def front(machine: Machine, place: Path, plan: Plan, group: str) -> int:
    """Start an nginx as it is printed for this plan, as a service; the port where it listens."""
    program = shutil.which("nginx", path=PATH)
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    text = replaced(nginx.conf(nginx.upstream_for(plan, group)), "listen 80;", f"listen 127.0.0.1:{port};")
    (place / "nginx.conf").write_text(replaced(text, "/dev/stdout", "/dev/null"))
    machine.add(f"front-{plan.name}.service", FRONT.format(place=place, program=program))
    machine.ctl("start", f"front-{plan.name}.service")
    return port


def ask(port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("called", CASES)
def test_a_unit_as_printed_starts_and_serves_behind_a_front_end_of_another_user(called: str, service: Service) -> None:
    case, place, group = CASES[called], service.directory, a_group()
    low = "127.{}.{}.1".format(*uuid.uuid4().bytes[:2])
    words = {"name": service.name, "place": str(place), "low": low, "group": group}
    pair = localhost()
    for source, target in ((pair.certificate, "tls.crt"), (pair.key, "tls.key")):
        shutil.copyfile(source, place / target)
        (place / target).chmod(0o600)
    (place / "closed.toml").write_text(f'ssl-certfile = "tls.crt"\nssl-keyfile = "{place}/tls.key"\n')
    (place / "closed.toml").chmod(0o600)
    (place / "logs").mkdir()
    shutil.chown(place / "logs", "daemon", group)
    settings = json.loads(json.dumps(case.settings).replace("{name}", words["name"]).replace("{place}", str(place)))
    settings = json.loads(json.dumps(settings).replace("{low}", low).replace("{group}", group))
    plan = service.install(front_group=group if case.is_behind_a_group else "", **settings)
    assert (service.machine.units / f"{service.name}.socket").exists() or not case.is_socket_unit
    service.ctl("start")
    port = front(service.machine, place, plan, group if case.is_behind_a_group else "")
    try:
        status, body = ask(port)
        assert status == 200, f"{body}\n{(place / 'front.log').read_text()}\n{service.log()}"
        assert body.split()[1] == case.uid or int(body.split()[1]) >= 61184, "a dynamic user, unless one is named"
        for path in case.files:
            service.machine.run("test", "-e", path.format(**words))
        if settings.keys() & {"control_socket", "ssl_certfile"}:  # which are looked at by ExecReload=, and after it
            service.ctl("reload")
        service.ctl("restart")
        assert ask(port)[0] == 200, f"after a restart\n{(place / 'front.log').read_text()}"
        service.ctl("stop")
        assert service.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    finally:
        service.machine.ctl("stop", f"front-{service.name}.service", check=False)
