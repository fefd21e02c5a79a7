"""Shows the units of `init systemd` under a real systemd, with its journal: python -m tests.systemd.

Needs what the tests beside it need: root, systemd, and namespaces. The machine has a journal of its own, in memory.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from tests.helpers.daemon import REPOSITORY
from tests.helpers.journal import start_journal
from tests.helpers.machine import DEADLINE_S, Machine, booted, obstacle
from tests.helpers.units import APP, Gate, Service

TAKE_BACK: Final = "StandardError=journal\nWatchdogSec=2s\nRestartSec=0\nLimitCORE=0"
"""What differs from the printed unit: the log goes to the journal, and the watchdog is shown without half a minute."""


def say(text: str) -> None:
    print(text, flush=True)


class Show:
    """One service, each step told with what it gave."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.machine = service.machine

    def do(self, *command: str) -> None:
        """A command inside, with what it printed and its exit code."""
        say(f"$ {shlex.join(command)}")
        done = self.machine.run(*command, check=False)
        for line in (done.stdout + done.stderr).splitlines():
            say(f"  {line}")
        say(f"  exit code {done.returncode}")

    def state(self) -> None:
        names = ("ActiveState", "SubState", "Result", "StatusText", "NRestarts", "ExecMainStatus")
        say(f"  {json.dumps(dict(self.service.show(*names)))}")

    def ask(self, path: str = "/") -> None:
        status, (worker, uid) = self.service.get(path)
        say(f"  GET {path}: {status}, by worker {worker} with uid {uid}")

    def start_and_reload(self) -> None:
        unit = self.service.unit
        self.do("systemctl", "start", f"{self.service.name}.socket")
        say("# A connection starts the service; it waits until a worker is ready.")
        self.ask()
        self.state()
        self.do("systemctl", "reload", unit)
        self.state()
        say("# The next deploy cannot be imported: the reload fails, and the old generation serves on.")
        app = self.service.directory / "app.py"
        app.write_text("raise LookupError('no database')\n")
        self.do("systemctl", "reload", unit)
        self.ask()
        self.state()
        app.write_text(APP)

    def stand_still(self) -> None:
        say("# The master is stopped; the watchdog replaces the service.")
        pid = self.service.show("MainPID")["MainPID"]
        self.machine.run("kill", f"-{signal.SIGSTOP.name.removeprefix('SIG')}", pid)
        with self.machine.following("journalctl", "--follow", "--no-pager", "-u", self.service.unit) as journal:
            journal.expect("Watchdog timeout")
            journal.expect("Scheduled restart job")
        self.do("systemctl", "start", self.service.unit)
        self.ask()
        self.state()

    def stop_slowly(self) -> None:
        say("# A stop with a request under way: it is finished first.")
        asking = threading.Thread(target=lambda: self.ask("/gated"))
        with Gate(self.service.name) as gate:
            asking.start()
            with gate.reached(), self.machine.following(*self.service.supervisor_ctl("events", "--follow")) as events:
                self.do("systemctl", "stop", "--no-block", self.service.unit)
                events.expect("stop.requested")
                self.state()
            self.do("systemctl", "stop", f"{self.service.name}.socket", self.service.unit)
        asking.join(DEADLINE_S)
        self.state()


def analysed(directory: Path, service: Service) -> None:
    unit, socket = (str(service.machine.units / f"{service.name}.{kind}") for kind in ("service", "socket"))
    for command in (
        ["systemd-analyze", "verify", "--man=no", unit, socket],
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
    ):
        say(f"$ {shlex.join([*command[:-1], *[Path(word).name for word in command[-1:]]])}")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if service.name in line or "Overall" in line]
        say(
            "".join(f"  {line.encode('ascii', 'ignore').decode().strip()}\n" for line in lines)
            + f"  exit code {done.returncode}"
        )


def show(machine: Machine, directory: Path) -> None:
    start_journal(machine)
    machine.ctl("log-target", "journal")
    service = Service(machine, directory, "web")
    service.install(drop_in=TAKE_BACK)
    say(f"# {machine.ctl('--version').stdout.splitlines()[0]}, booted in namespaces of its own")
    analysed(directory, service)
    steps = Show(service)
    steps.start_and_reload()
    steps.stand_still()
    steps.stop_slowly()
    say(f"$ journalctl -o short-monotonic -u {service.unit} -u {service.name}.socket")
    machine.run("journalctl", "--sync")
    told = machine.run(
        *("journalctl", "--no-pager", "-o", "short-monotonic", "--no-hostname"),
        *("-u", service.unit, "-u", f"{service.name}.socket"),
    )
    say(told.stdout)


def main() -> int:
    reason = obstacle()
    if reason is not None:
        say(f"no systemd can be booted here: {reason}")
        return 2
    with tempfile.TemporaryDirectory(prefix="units-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "machine").mkdir()
        (directory / "app").mkdir()
        os.chdir(directory / "app")
        sys.path.insert(0, str(REPOSITORY))
        with booted(directory / "machine") as machine:
            show(machine, directory / "app")
    return 0


if __name__ == "__main__":
    sys.exit(main())
