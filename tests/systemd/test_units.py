"""The units that `init systemd` prints, under a real systemd: started, activated, reloaded, watched, stopped.

Skipped, with the reason told, where no systemd can be booted (root and namespaces are needed).
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import threading
from pathlib import Path

import pytest

from supervisor_d.init import systemd
from tests.helpers.daemon import REPOSITORY
from tests.helpers.machine import DEADLINE_S
from tests.helpers.units import APP, Gate, Service


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


def test_one_template_runs_many_applications(service: Service) -> None:
    """The template in contrib, but for the places: what is below /srv and /etc there is below the test's directory."""
    here, shop = service.directory, service.directory / "srv" / service.name
    (shop / ".venv/bin").mkdir(parents=True)
    (shop / "app.py").write_text(APP)
    program = shop / ".venv/bin/supervisor-d"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m supervisor_d "$@"\n')
    program.chmod(0o755)
    (here / "etc").mkdir()
    (here / f"etc/{service.name}.toml").write_text(f'app = "app:app"\nbind = "127.0.0.1:{service.port}"\n')
    template = (REPOSITORY / "contrib/systemd/supervisor-d@.service").read_text()
    template = template.replace("/srv/", f"{here}/srv/").replace("/etc/supervisor-d/", f"{here}/etc/")
    needs = [str(here), str(REPOSITORY), sys.prefix, sys.base_prefix]
    shown = [line for line in systemd.homes(needs) if line != "ProtectHome=yes"]
    environ = f"Environment=PYTHONPATH={REPOSITORY} GATE={service.name}"
    drop_in = "\n".join(["[Service]", environ, f"StandardError=append:{here}/log", *shown, ""])
    service.machine.add("supervisor-d@.service", template, drop_in)
    service.unit = f"supervisor-d@{service.name}.service"
    service.ctl("start")
    assert service.get()[0] == 200
    service.ctl("reload")
    assert service.show("StatusText")["StatusText"] == "serving: 1 of 1 workers ready, generation 2"
    service.ctl("stop")
    assert service.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
