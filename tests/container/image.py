"""Does what a Dockerfile says, without an engine: stages are directories, RUN is a chroot with the very same command.

A base image is a directory with a system in it (debootstrap makes one), whatever FROM names. Only the instructions that
our Dockerfiles have are known; any other is refused by its name.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(slots=True)
class Stage:
    """One FROM and what followed it."""

    root: Path
    where: str = "/"
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": DEFAULT_PATH})
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Builder:
    """Builds in `place`. `shared` are paths of this machine that RUN sees, read-only; `variables` are RUN's alone."""

    base: Path
    context: Path
    place: Path
    shared: Sequence[Path] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    stage: Stage | None = None

    def build(self, dockerfile: str) -> Stage:
        """The last stage."""
        for name, rest in instructions(dockerfile):
            print(f"{name} {rest}", flush=True)
            getattr(self, f"_{name.lower()}", self._unknown)(rest)
        return self._now

    @property
    def _now(self) -> Stage:
        assert self.stage is not None, "FROM comes first"
        return self.stage

    def _unknown(self, rest: str) -> None:
        raise ValueError(f"no such instruction here: {rest}")

    def _from(self, rest: str) -> None:
        name = rest.partition(" AS ")[2] or str(len(self.stages))
        root = self.place / name
        subprocess.run(["cp", "-a", str(self.base), str(root)], check=True)
        self.stage = self.stages[name] = Stage(root)

    def _workdir(self, rest: str) -> None:
        self._now.where = rest
        self._inside(rest).mkdir(parents=True, exist_ok=True)

    def _env(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self._now.environ[name] = re.sub(r"\$(\w+)", lambda match: self._now.environ.get(match[1], ""), value)

    def _copy(self, rest: str) -> None:
        *words, target = rest.split()
        root = self.context
        if words[0].startswith("--from="):
            root = self.stages[words.pop(0).removeprefix("--from=")].root
        for word in words:
            source, goal = root / word.lstrip("/"), self._inside(target)
            if source.is_dir():
                shutil.copytree(source, goal, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, goal)

    def _run(self, rest: str) -> None:
        command = re.sub(r"--mount=\S+ ", "", rest)  # a cache is nothing to what comes out
        resolver = Path("/etc/resolv.conf")
        for path in (*self.shared, resolver):
            inside = self._inside(str(path))
            (inside if path.is_dir() else inside.parent).mkdir(parents=True, exist_ok=True)
            if not path.is_dir():
                inside.touch()
        script = " && ".join(
            [
                "mount --make-rprivate /",
                *(f"mount --rbind -o ro {path} $ROOT{path}" for path in (*self.shared, resolver)),
                "mount -t proc proc $ROOT/proc",
                'exec chroot $ROOT /bin/sh -c "cd $WHERE && $COMMAND"',
            ]
        )
        words = {**self.variables, **self._now.environ, "HOME": "/root"}
        words |= {"ROOT": str(self._now.root), "WHERE": self._now.where, "COMMAND": command}
        subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True, env=words)

    def _user(self, rest: str) -> None:
        self._now.user = rest

    def _expose(self, rest: str) -> None:
        """Says which ports; nothing is done."""

    def _healthcheck(self, rest: str) -> None:
        self._now.health = json.loads(rest.partition("CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self._now.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._now.command = json.loads(rest)

    def _inside(self, path: str) -> Path:
        return self._now.root / os.path.join(self._now.where, path).lstrip("/")


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Each instruction's name and the rest of its line."""
    for line in dockerfile.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            yield name, rest.strip()
