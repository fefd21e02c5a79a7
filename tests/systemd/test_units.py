"""The units that `init systemd` prints, under a real systemd: started, activated, reloaded, watched, stopped.

Skipped, with the reason told, where no systemd can be booted (root and namespaces are needed).
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from supervisor_d.init import systemd
from supervisor_d.init.plan import plan_of
from supervisor_d.settings.resolve import resolve
from tests.helpers.daemon import REPOSITORY
from tests.helpers.machine import DEADLINE_S, Machine, booted, obstacle

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


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    reason = obstacle()
    if reason is not None:
        pytest.skip(f"no systemd can be booted here: {reason}")
    with booted(tmp_path_factory.mktemp("machine")) as started:
        yield started


class Service:
    """One application with its units on the machine."""

    def __init__(self, machine: Machine, directory: Path, name: str) -> None:
        self.machine = machine
        self.directory = directory
        self.name = name
        self.unit = f"{name}.service"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    def install(self, drop_in: str = "", **flags: object) -> None:
        """Write the application and its units: as they are printed, and a drop-in says where the code under test is."""
        (self.directory / "app.py").write_text(APP)
        bind = flags.pop("bind", [f"127.0.0.1:{self.port}"])
        plan = plan_of(resolve({"app": "app:app", "name": self.name, "bind": bind, **flags}, {}))
        log = f"StandardError=append:{self.directory}/log"
        code = [line for line in systemd.homes([*plan.needs, str(REPOSITORY)]) if line != "ProtectHome=yes"]
        environ = f"Environment=PYTHONPATH={REPOSITORY} GATE={self.name}"
        here = "\n".join(["[Service]", environ, log, *code, drop_in, ""])
        if "fd://" not in str(bind):
            self.machine.add(f"{self.name}.socket", systemd.socket(plan))
        self.machine.add(self.unit, systemd.service(plan), here)

    def ctl(self, verb: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = self.machine.ctl(verb, *options, self.unit, check=False)
        assert not check or done.returncode == 0, f"{verb}: {done.stderr}\n{self.log()}\n{self.machine.told()}"
        return done

    def show(self, *names: str) -> Mapping[str, str]:
        return self.machine.show(self.unit, *names)

    def supervisor_ctl(self, *command: str) -> list[str]:
        """The `ctl` command that asks as root, from outside of the service's sandbox."""
        place = f"/run/supervisor-d/{self.name}/control.sock"
        program = ["env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "supervisor_d"]
        return [*program, "ctl", "--socket", place, *command, "--json"]

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


@pytest.fixture
def service(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    tmp_path.chmod(0o755)  # the service is nobody in particular
    monkeypatch.chdir(tmp_path)
    name = f"web-{uuid.uuid4().hex[:8]}"
    made = Service(machine, tmp_path, name)
    yield made
    machine.ctl("stop", f"{name}.socket", made.unit, check=False)


def test_start_returns_when_the_service_is_ready_and_it_is_nobody_in_particular(service: Service) -> None:
    service.install(workers=2)
    service.ctl("start")
    status, (_, uid) = service.get()
    assert status == 200
    assert int(uid) >= 61184, "a dynamic user (systemd.exec(5))"
    told = service.show("ActiveState", "StatusText", "NotifyAccess", "OOMPolicy")
    assert told["ActiveState"] == "active"
    assert told["StatusText"] == "serving: 2 of 2 workers ready, generation 1"
    assert told["OOMPolicy"] == "continue"
    asked = service.machine.run(*service.supervisor_ctl("status"))
    assert json.loads(asked.stdout)["workers"] == {"target": 2, "ready": 2}
    service.ctl("stop")
    assert service.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    assert not Path("/run/supervisor-d").joinpath(service.name).exists(), "nothing is left on the host"


def test_a_connection_starts_the_service_and_waits_for_its_answer(service: Service) -> None:
    service.install()
    service.machine.ctl("start", f"{service.name}.socket")
    assert service.show("ActiveState")["ActiveState"] == "inactive"
    assert service.get()[0] == 200
    assert '"event": "socket.inherited"' in service.log()
    assert "socket.bound" not in service.log()
    assert "socket.unused" not in service.log(), "the unit's --bind is the socket's address"


def test_a_socket_is_chosen_by_its_name(service: Service) -> None:
    service.install(bind=["fd://api"])
    sockets = f"[Socket]\nListenStream=127.0.0.1:{service.port}\nFileDescriptorName=api\n"
    service.machine.add(f"{service.name}.socket", sockets)
    service.machine.ctl("start", f"{service.name}.socket")
    assert service.get()[0] == 200
    assert '"source": "LISTEN_FDS api"' in service.log()


def test_what_connects_during_a_restart_waits_for_the_new_service(service: Service) -> None:
    service.install()
    service.machine.ctl("start", f"{service.name}.socket")
    service.ctl("start")
    before = service.show("MainPID")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.extend(service.get()[0] for _ in range(20)))
    asking.start()
    service.ctl("restart")
    asking.join(DEADLINE_S)
    assert answers == [200] * 20
    assert service.show("MainPID") != before


def test_a_service_is_starting_until_its_application_is_ready(service: Service) -> None:
    service.install(lifespan="on", drop_in="Environment=GATED_START=yes")
    with Gate(service.name) as gate:
        service.ctl("start", "--no-block")
        with gate.reached():
            assert service.show("ActiveState")["ActiveState"] == "activating"
        service.ctl("start")
    assert service.show("ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}


def test_a_start_that_fails_fails_and_says_why(service: Service) -> None:
    service.install(drop_in="Restart=no")
    (service.directory / "app.py").write_text("raise LookupError('no database')\n")
    assert service.ctl("start", check=False).returncode != 0
    told = service.show("Result", "ExecMainStatus", "StatusText")
    assert told == {
        "Result": "exit-code",
        "ExecMainStatus": "3",
        "StatusText": "the application could not boot: LookupError: no database",
    }


def test_a_reload_that_fails_fails_and_one_that_succeeds_succeeds(service: Service) -> None:
    service.install()
    service.ctl("start")
    (_, (before, _)) = service.get()
    (service.directory / "app.py").write_text("raise LookupError('no database')\n")
    assert service.ctl("reload", check=False).returncode != 0
    assert service.get()[1][0] == before, "the old worker still serves"
    told = service.show("ActiveState", "ReloadResult", "StatusText")
    assert (told["ActiveState"], told["ReloadResult"]) == ("active", "exit-code")
    assert "generation 2 was rolled back" in told["StatusText"]
    (service.directory / "app.py").write_text(APP)
    service.ctl("reload")
    assert service.get()[1][0] != before
    told = service.show("ActiveState", "ReloadResult", "StatusText")
    assert told == {
        "ActiveState": "active",
        "ReloadResult": "success",
        "StatusText": "serving: 1 of 1 workers ready, generation 3",
    }


def test_a_stop_waits_for_a_slow_request_within_the_budget(service: Service) -> None:
    service.install()
    service.ctl("start")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(service.get("/gated")[0]))
    with Gate(service.name) as gate:
        asking.start()
        with gate.reached(), service.machine.following(*service.supervisor_ctl("events", "--follow")) as events:
            service.ctl("stop", "--no-block")
            events.expect("stop.requested")
            assert service.show("ActiveState")["ActiveState"] == "deactivating"
        service.ctl("stop")
    asking.join(DEADLINE_S)
    assert answers == [200]
    assert service.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}


def test_a_master_that_stands_still_is_replaced_by_the_watchdog(service: Service) -> None:
    service.install(drop_in="WatchdogSec=1s\nRestartSec=0\nLimitCORE=0")
    service.ctl("start")
    before = int(service.show("MainPID")["MainPID"])
    service.machine.run("kill", "-STOP", str(before))
    at = service.machine.expect(f"{service.unit}: Watchdog timeout")
    service.machine.expect(f"{service.unit}: Scheduled restart job", at)
    service.ctl("start")  # returns when the restarted one is ready
    assert int(service.show("MainPID")["MainPID"]) != before
    assert service.get()[0] == 200


def test_a_worker_that_is_killed_is_the_masters_affair(service: Service) -> None:
    service.install(workers=2)
    service.ctl("start")
    before = service.show("MainPID", "NRestarts")
    (_, (worker, _)) = service.get()
    service.machine.run("kill", f"-{signal.SIGKILL.value}", worker)
    service.ctl("reload")  # a fence: it ends when every worker is ready
    assert service.get()[0] == 200
    assert service.show("MainPID", "NRestarts") == before
    assert '"event": "worker.crashed"' in service.log()


def test_a_worker_killed_for_memory_leaves_the_service_running(service: Service) -> None:
    controllers = service.machine.run("cat", "/sys/fs/cgroup/cgroup.controllers").stdout.split()
    if "memory" not in controllers:
        pytest.skip("the memory controller is not on the cgroup v2 tree here")
    service.install(workers=2, drop_in="MemoryMax=150M\nMemorySwapMax=0")
    (service.directory / "app.py").write_text(
        APP.replace("async def passed():", "async def passed():\n    bytearray(10**9)")
    )
    service.ctl("start")
    before = service.show("MainPID", "NRestarts")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        service.get("/gated")
    service.ctl("reload")  # a fence
    assert service.get()[0] == 200
    assert service.show("MainPID", "NRestarts") == before
    assert "OOM killer" in service.log()
