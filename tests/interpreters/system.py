"""Where another interpreter runs: this machine, or a Debian system in a directory, which is entered by chroot(8)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.interpreters import pip_settings

HOME: Final = Path("/root")
TREE: Final = "supervisor-d"
SCRIPTS: Final = Path("/usr/share/debootstrap/scripts")
PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
PACKAGES: Final = ("git", "gcc", "libc6-dev", "ca-certificates", "strace")
"""What the tests use that is small; those that need more say so and skip."""

ENTER: Final = """\
set -e
mount --make-rprivate /
{root}
for path in $SHARED; do mount --rbind -o ro "$path" "$ROOT$path"; done
mount -t proc proc "$ROOT/proc"
exec chroot "$ROOT" sh -c 'cd "$WHERE" && "$@"; exit $?' sh "$@"
"""
"""PID 1 is the shell, which reaps what the tests leave to it. Were it pytest, orphans of daemons would stay zombies,
and a test that waits until a process is gone would fail at its deadline."""

WHOLE: Final = """\
mount --bind "$ROOT" "$ROOT"
mkdir -p "$ROOT/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$ROOT/dev/pts"
"""
"""In a bare chroot / is no mount point, so that unshare(1) cannot change its propagation; and there is no terminal."""


class System(Protocol):
    """A place for a tree, and a way to run commands in it. Paths are as the commands see them."""

    @property
    def name(self) -> str: ...

    def path(self, inside: Path) -> Path:
        """Where this process finds it."""
        ...

    def copy(self, repository: Path) -> Path:
        """The directory with a copy of the checkout, changes and all."""
        ...

    def run(self, command: Sequence[str], where: Path, *, check: bool = True) -> None:
        """Raises CalledProcessError if `check` and it fails."""
        ...

    def ask(self, command: Sequence[str], where: Path) -> str:
        """What the command prints, without the line end."""
        ...


@dataclass(frozen=True)
class Here:
    """This machine; the tree is below `place`."""

    place: Path
    name: str = "this machine"

    def path(self, inside: Path) -> Path:
        return inside

    def copy(self, repository: Path) -> Path:
        return copied(repository, self.place / TREE)

    def run(self, command: Sequence[str], where: Path, *, check: bool = True) -> None:
        subprocess.run(command, cwd=where, check=check, preexec_fn=interruptible)

    def ask(self, command: Sequence[str], where: Path) -> str:
        return subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Root:
    """A Debian system in a directory."""

    suite: str
    directory: Path
    mirror: str
    is_bare: bool

    @property
    def name(self) -> str:
        return f"Debian {self.suite} in a {'bare ' if self.is_bare else ''}chroot"

    def path(self, inside: Path) -> Path:
        return self.directory / inside.relative_to("/")

    def bootstrap(self, versions: Sequence[str]) -> None:
        """Make the system unless it is there, with these interpreters. A suite that debootstrap does not know is like
        sid."""
        if not (self.directory / "bin").exists():
            script = SCRIPTS / (self.suite if (SCRIPTS / self.suite).exists() else "sid")
            words = ["debootstrap", "--variant=minbase", self.suite, str(self.directory), self.mirror, str(script)]
            subprocess.run(words, check=True)
        wanted = [f"python{version}{part}" for version in versions for part in ("", "-venv", "-dev")]
        update = [
            "apt-get",
            "update",
            "-q",
            "-o",
            "Acquire::Check-Valid-Until=false",
        ]  # a copy of the archive may be old
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES, *wanted]
        for command in (update, install):
            words, environ = self._entered(command, Path("/"), [])  # it writes certificates, which must not be shared
            subprocess.run(words, env=environ, check=True)

    def copy(self, repository: Path) -> Path:
        inside = HOME / TREE
        copied(repository, self.path(inside))
        return inside

    def run(self, command: Sequence[str], where: Path, *, check: bool = True) -> None:
        words, environ = self._entered(command, where, self._pip_s())
        subprocess.run(words, env=environ, check=check, preexec_fn=interruptible)

    def ask(self, command: Sequence[str], where: Path) -> str:
        words, environ = self._entered(command, where, self._pip_s())
        return subprocess.run(words, env=environ, check=True, capture_output=True, text=True).stdout.strip()

    def _pip_s(self) -> list[Path]:
        """The paths that pip's settings name, once they are the system's, too."""
        settings = pip_settings.here()
        self.path(Path("/etc/pip.conf")).write_text(pip_settings.document(settings))
        return pip_settings.paths(settings)

    def _entered(
        self, command: Sequence[str], where: Path, shared: Sequence[Path]
    ) -> tuple[list[str], Mapping[str, str]]:
        """The command in namespaces of its own, so that its mounts and whatever it leaves behind end with it."""
        for path in shared:
            inside = self.path(path)
            (inside if path.is_dir() else inside.parent).mkdir(parents=True, exist_ok=True)
            if not path.is_dir():
                inside.touch()
        shutil.copyfile("/etc/resolv.conf", self.path(Path("/etc/resolv.conf")))
        environ = {name: os.environ[name] for name in PROXIES if name in os.environ}
        environ |= {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(HOME),
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "ROOT": str(self.directory),
            "WHERE": str(where),
            "SHARED": " ".join(map(str, shared)),
        }
        script = ENTER.format(root="" if self.is_bare else WHOLE)
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", *command], environ


def copied(repository: Path, target: Path) -> Path:
    """A fresh clone with what is not committed yet."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", str(repository), str(target)], check=True)
    asked = ["git", "-C", str(repository), "ls-files", "-z", "--modified", "--others", "--exclude-standard"]
    for name in subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split("\0"):
        source = repository / name
        if name and source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
        elif name:
            (target / name).unlink(missing_ok=True)
    return target


def interruptible() -> None:
    """A shell ignores SIGINT in what it starts in the background, and what the tests interrupt would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
