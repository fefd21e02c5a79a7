"""Our packages in the two forms in which they can be installed, each in a directory of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.process_tree import ROOT

PACKAGES: Final = ("server_core", "supervisor_d")

INSTALLED, PLAIN = "as installed", "plain Python"
"""As a wheel is made on this machine, which is compiled if there is a C compiler; and never compiled."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where servers are started: the interpreter that has the peers, a directory of this run, a directory a form."""

    python: Path
    place: Path
    roots: Mapping[str, Path]


def forms(place: Path, python: Path, source: Path = ROOT) -> dict[str, Path]:
    """A directory for each form, from which a server of it can be started; the applications are there, too.

    The packages are those in `source`, the applications are always this tree's.
    """
    made = {INSTALLED: place / "installed", PLAIN: place / "plain"}
    for root in made.values():
        root.mkdir()
        for package in PACKAGES:
            shutil.copytree(source / package, root / package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        (root / "tests").symlink_to(ROOT / "tests")
    shutil.copytree(source / "contrib" / "backend", made[INSTALLED] / "contrib" / "backend")
    backend = made[INSTALLED] / "contrib" / "backend" / "compiling.py"
    ended = subprocess.run([sys.executable, str(backend)], check=False, capture_output=True, text=True)
    if ended.returncode:
        print(f"not compiled: {(ended.stdout + ended.stderr).strip().splitlines()[-1]}", file=sys.stderr, flush=True)
    # pip compiles to bytecode what it installs, and so it did with the peers.
    paths = [str(root / package) for root in made.values() for package in PACKAGES]
    subprocess.run([str(python), "-m", "compileall", "-q", *paths, str(ROOT / "tests" / "bench")], check=True)
    return made
