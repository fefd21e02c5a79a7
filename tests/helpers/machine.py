"""A real systemd as PID 1 of namespaces of its own, for tests of units: boot, systemctl, console, end.

Needs root, systemd, unshare, nsenter and a cgroup v2 tree. Process ids, mounts, host name, IPC and cgroups are its own;
the network is shared, so that a test reaches its services. Only the units in its own directory exist. /run and
/var/log are new tmpfs, /proc/sys is read-only, the machine-id, the kernel's log and the console are stand-ins: nothing
outside is touched but what PrivateTmp= makes in /tmp, and that goes when a unit stops. Mounts are shared inside, as on
any machine: systemd makes credentials in a namespace of a helper's, and counts on their coming out of it.

Nothing here polls: systemctl waits for jobs, and what systemd says on its console, a pty, is read as it comes.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

DEADLINE_S: Final = 30.0
SYSTEMD: Final = ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")
TOOLS: Final = ("systemctl", "unshare", "nsenter", "setpriv", "mount")

TARGETS: Final = (
    "sysinit",
    "basic",
    "sockets",
    "paths",
    "timers",
    "slices",
    "shutdown",
    "umount",
    "final",
    "multi-user",
)
"""What services depend on by default; empty here."""

ENTER: Final = """\
set -e
mount --make-rshared /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/log
mount --bind "$PLACE/machine-id" /etc/machine-id
mount --bind /dev/null /dev/kmsg
mount --bind "$TERMINAL" /dev/console
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \\
  SYSTEMD_UNIT_PATH="$PLACE/units" \\
  SYSTEMD_GENERATOR_PATH="$PLACE/none" SYSTEMD_ENVIRONMENT_GENERATOR_PATH="$PLACE/none" \\
  "$SYSTEMD" --system --unit=basic.target --log-level=info --log-target=console --show-status=no \\
  --default-standard-output=null
"""


def obstacle() -> str | None:
    """Why no systemd can be booted here, or None if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or not any(Path(place).exists() for place in SYSTEMD):
        return f"needs {', '.join(missing) or 'systemd'}"
    if cgroup_root() is None:
        return "needs a cgroup v2 tree"
    probe = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount", "--cgroup", "true"], capture_output=True, check=False
    )
    return None if probe.returncode == 0 else f"cannot make namespaces: {probe.stderr.decode().strip()}"


def cgroup_root() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


class Lines:
    """The lines of a process's output, waited for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._output = process.stdout.fileno()
        self._told = ""

    def expect(self, text: str) -> None:
        """Reads until this was printed."""
        give_up_at = time.monotonic() + DEADLINE_S
        while text not in self._told:
            left = give_up_at - time.monotonic()
            readable = left > 0 and select.select([self._output], [], [], left)[0]
            data = os.read(self._output, 65536) if readable else b""
            assert data, f"no {text!r}; there was:\n{self._told}"
            self._told += data.decode("utf-8", "replace")


class Machine:
    """One booted systemd."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.units = place / "units"
        self.console = ""
        self._write_units()
        root = cgroup_root()
        assert root is not None
        self._cgroup = root / f"supervisor-d-test-{os.getpid()}"
        self._cgroup.mkdir(exist_ok=True)
        self._terminal, theirs = pty.openpty()
        environ = {
            "PATH": os.environ["PATH"],
            "PLACE": str(place),
            "TERMINAL": os.ttyname(theirs),
            "SYSTEMD": next(place for place in SYSTEMD if Path(place).exists()),
        }
        namespaces = "--pid --fork --kill-child=SIGKILL --mount --propagation private --uts --ipc --cgroup"
        script = f'echo $$ > {self._cgroup}/cgroup.procs; exec unshare {namespaces} sh -c "$ENTER"'
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "sh", "-c", script],  # killed tests leave no systemd behind
            stdin=theirs, stdout=theirs, stderr=theirs, env={**environ, "ENTER": ENTER}, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.expect("Startup finished")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self.pid = int(children[0])

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command inside; the console is shown if it fails and must not."""
        done = subprocess.run(
            [*self._enter(), *command],
            capture_output=True, text=True, timeout=DEADLINE_S, env=self._environ(), check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}: {done.stderr}\n{self.told()}"
        return done

    @contextlib.contextmanager
    def following(self, *command: str) -> Iterator[Lines]:
        """What a command inside prints, line by line."""
        process = subprocess.Popen([*self._enter(), *command], stdout=subprocess.PIPE, env=self._environ())
        try:
            yield Lines(process)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def ctl(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", "--no-pager", *command, check=check)

    def show(self, unit: str, *names: str) -> Mapping[str, str]:
        """Properties of a unit as systemd has them."""
        lines = self.ctl("show", unit, "--property", ",".join(names)).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def add(self, name: str, text: str, drop_in: str = "") -> None:
        """A unit, and what is to be different about it here."""
        (self.units / name).write_text(text)
        if drop_in:
            directory = self.units / f"{name}.d"
            directory.mkdir(exist_ok=True)
            (directory / "test.conf").write_text(drop_in)
        self.ctl("daemon-reload")

    def expect(self, text: str, after: int = 0) -> int:
        """Reads the console until this is on it, beyond so many characters; the place after it."""
        give_up_at = time.monotonic() + DEADLINE_S
        while (at := self.console.find(text, after)) < 0:
            left = give_up_at - time.monotonic()
            assert left > 0, f"no {text!r} in {DEADLINE_S:g} s; console:\n{self.console}"
            self._read(left)
        return at + len(text)

    def told(self) -> str:
        """All of the console so far."""
        while self._read(0.0):
            pass
        return self.console

    def close(self) -> None:
        """Stop everything in order, then end what is left, and remove the cgroups."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.ctl("stop", "--all", "*.socket", "*.service", check=False)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._terminal)
        for directory in sorted(self._cgroup.rglob("*/"), key=lambda path: -len(path.parts)):
            directory.rmdir()
        self._cgroup.rmdir()

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._terminal], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # EIO: nobody has the other side open
            raise AssertionError(f"systemd ended; console:\n{self.console}") from None
        self.console += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return True

    def _write_units(self) -> None:
        self.units.mkdir()
        (self.place / "none").mkdir()
        (self.place / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        for name in TARGETS:
            (self.units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", "--"]

    def _environ(self) -> Mapping[str, str]:
        kept = ("PATH", "PYTHONPATH")
        return {name: os.environ[name] for name in kept if name in os.environ}


@contextlib.contextmanager
def booted(place: Path) -> Iterator[Machine]:
    machine = Machine(place)
    try:
        yield machine
    finally:
        machine.close()
