"""Shows the daemon as a container has it: python -m tests.container [--base DIRECTORY [--share PATH ...]].

Without --base it is this Python on this machine's root. With it, the Dockerfile that `init docker` prints is done step
by step, the same commands in a chroot of that system, and what comes out is run by its own ENTRYPOINT and CMD:

    debootstrap --variant=minbase --include=python3,python3-venv,python-is-python3,ca-certificates bookworm base
    python -m tests.container --base base

Either way: PID 1 of new pid, mount, user, network, IPC and UTS namespaces, mounts read-only, uid 65534, no
capabilities, loopback alone; then run, reload, scale, probe, stop; the exit code, and what was written. Namespaces by
unshare(1); there is no container engine in it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil

from supervisor_d.init.container import dockerfile, image_of
from supervisor_d.init.reference import sample
from tests.container.image import Builder, Stage
from tests.helpers.container import (
    beside,
    contained,
    family,
    master_of,
    obstacle,
    open_for_writing,
    writable_mounts,
    written_bytes,
)
from tests.helpers.daemon import PID_APP, REPOSITORY, Daemon


def say(text: str) -> None:
    print(text, flush=True)


def build(base: Path, shared: list[Path], place: Path) -> Stage:
    """The image of the printed Dockerfile, upon this system; our own package comes from a wheel of this checkout."""
    context, wheels = place / "context", place / "wheels"
    context.mkdir()
    (context / "app.py").write_text(PID_APP)
    (context / "requirements.txt").write_text("")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), str(REPOSITORY)]
    subprocess.run(command, check=True)
    plan = sample(workers="2", app="app:app")
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http", "HTTP"))}
    kept["PIP_FIND_LINKS"] = f"{wheels} {kept.get('PIP_FIND_LINKS', '')}".strip()
    before = time.monotonic()
    built = Builder(base, context, place, [wheels, *shared], kept).build(dockerfile(image_of(plan)))
    size = sum(path.stat().st_blocks * 512 for path in (built.root / "app").rglob("*") if not path.is_symlink())
    say(f"# built in {time.monotonic() - before:.0f} s; /app has {size / 1e6:.0f} MB")
    places = [built.root / place for place in ("usr/bin", "usr/local/bin", "app/.venv/bin")]
    tools = [name for name in ("gcc", "cc", "make", "pip", "pip3") if any((place / name).exists() for place in places)]
    say(f"# build tools in the image: {', '.join(tools) or 'none'}")
    return built


class Show:
    """One daemon in its container, each step told."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        daemon.heard.expect("worker.ready", times=2)
        self.master: psutil.Process = master_of(daemon.pid)
        self.before = written_bytes([self.master.pid])

    def describe(self) -> None:
        (started,) = self.daemon.heard.named("master.started")
        (opened,) = self.daemon.heard.named("control.opened")
        status = Path(f"/proc/{self.master.pid}/status").read_text().splitlines()
        told = {line.split(":")[0]: " ".join(line.split()[1:]) for line in status}
        environ = Path(f"/proc/{self.master.pid}/environ").read_text().split("\0")
        say(f"pid            {started['pid']}, Python {started['python']}")
        say(f"uid            {told['Uid']}; uid_map {Path(f'/proc/{self.master.pid}/uid_map').read_text().split()}")
        say(f"capabilities   effective {told['CapEff']}, bounding {told['CapBnd']}; no_new_privs {told['NoNewPrivs']}")
        say(f"writable       {', '.join(writable_mounts(self.master)) or 'nothing'}")
        interfaces = beside(self.master, "-c", "import socket; print([name for _, name in socket.if_nameindex()])")
        say(f"interfaces     {interfaces.stdout.strip()}")
        say(f"environment    {', '.join(sorted(word.partition('=')[0] for word in environ if word))}")
        say(f"control        {opened['address']}")

    def python(self, code: str) -> None:
        done = beside(self.master, "-c", code)
        say(f"  {(done.stdout + done.stderr).strip()}")

    def ctl(self, *command: str) -> None:
        say(f"$ supervisor-d ctl {shlex.join(command)}")
        done = beside(self.master, "-m", "supervisor_d", "ctl", "--expect-user", "65534", *command)
        say("".join(f"  {line}\n" for line in done.stdout.splitlines()) + f"  exit code {done.returncode}")

    def work(self) -> None:
        get = "from urllib.request import urlopen; print('GET {0}:', urlopen('http://127.0.0.1:{1}{0}').status)"
        self.python(get.format("/", 8000))
        self.ctl("reload")
        self.ctl("scale", "3")
        self.daemon.heard.expect("worker.ready", generation=2, times=3)
        self.python(get.format("/readyz", 9000))
        self.ctl("status")
        self.ctl("health", "--ready")
        self.ctl("explain", "workers")

    def end(self) -> None:
        pids = family(self.master)
        written, opened = written_bytes(pids) - self.before, open_for_writing(pids)
        say(
            f"# written to disks by the master and {len(pids) - 1} workers: {written} bytes; open for writing: {opened}"
        )
        say("$ kill -TERM 1")
        self.master.send_signal(signal.SIGTERM)
        say(f"  exit code {self.daemon.wait()}")


def command_of(built: Stage | None) -> list[str]:
    if built is not None:
        return [
            *contained(root=built.root, environ=built.environ, where=built.where),
            *built.entrypoint,
            *built.command,
        ]
    flags = ["--workers", "2", "--bind", "127.0.0.1:8000", "--admin-bind", "127.0.0.1:9000", "--name", "app"]
    return [*contained(), sys.executable, "-m", "supervisor_d", "run", "app:app", *flags]


def checked(built: Stage, master: psutil.Process) -> None:
    """HEALTHCHECK's own command, by the image's own Python, in the container."""
    words = [f"{name}={value}" for name, value in built.environ.items()]
    enter = ["nsenter", "-t", str(master.pid), "-m", "-p", "-n", "-i", "-u", "env", "-i", *words]
    done = subprocess.run([*enter, *built.health], capture_output=True, text=True, check=False)
    say(f"HEALTHCHECK {shlex.join(built.health)}")
    say(f"  {(done.stdout + done.stderr).strip()}\n  exit code {done.returncode}")


def show(options: argparse.Namespace, place: Path) -> None:
    built = build(options.base.resolve(), options.share, place) if options.base else None
    (place / "app.py").write_text(PID_APP)
    command = command_of(built)
    say(f"$ {shlex.join(command[command.index('container') + 1 :])}")
    process = subprocess.Popen(
        command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    daemon = Daemon(process, f"unused-{uuid.uuid4().hex}")
    try:
        steps = Show(daemon)
        steps.describe()
        steps.work()
        if built is not None:
            checked(built, steps.master)
        steps.end()
    finally:
        daemon.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="a directory with a system in it, as debootstrap makes one")
    parser.add_argument("--share", type=Path, action="append", default=[], help="what pip needs to see in the build")
    options = parser.parse_args()
    reason = obstacle("pivot_root")
    if reason is not None:
        say(f"no container can be made here: {reason}")
        return 2
    with tempfile.TemporaryDirectory(prefix="supervisor-d-container-") as name:
        Path(name).chmod(0o755)
        show(options, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
