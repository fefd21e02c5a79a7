"""Runs the suite on other interpreters: python -m tests.interpreters [OPTIONS] INTERPRETER... [--words PYTEST'S].

Those that Debian packages, in a system of their own, which is a directory (root and debootstrap are needed; what is
there already is used again):

    python -m tests.interpreters --suite sid --root /var/tmp/sid 3.14 3.15
    python -m tests.interpreters --suite bookworm --root /var/tmp/bookworm --bare 3.11

Those of this machine, by their paths, each with an environment of its own that is removed afterwards:

    python -m tests.interpreters /usr/bin/python3 ~/.pyenv/versions/3.13.0/bin/python

Each runs the suite as it is and, with --compiled, once more with the way of a request compiled by Cython. The report
says what passed, failed and was skipped, and why. Exit code 0 if nothing failed. --bare mounts nothing but /proc: no
/dev/pts, and a / that is no mount point, as in a plain chroot.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.helpers.daemon import REPOSITORY
from tests.interpreters.report import Outcome, page
from tests.interpreters.system import Here, Root, System

DEBIAN = "/usr/bin/python{version}"


def forms(system: System, python: str, *, compiled: bool, words: list[str]) -> list[Outcome]:
    """The suite's outcome on this interpreter, in each form."""
    tree = system.copy(REPOSITORY)
    venv = tree / ".venv"
    system.run([python, "-m", "venv", "--clear", str(venv)], tree)
    inside = str(venv / "bin" / "python")
    system.run([inside, "-m", "pip", "install", "-q", "-e", ".[test]"], tree)
    outcomes = [suite(system, inside, tree, "as it is", words)]
    if compiled:
        system.run([inside, "contrib/backend/compiling.py"], tree)
        outcomes.append(suite(system, inside, tree, "compiled", words))
        system.run([inside, "contrib/backend/compiling.py", "--clean"], tree)
    return outcomes


def suite(system: System, python: str, tree: Path, form: str, words: list[str]) -> Outcome:
    """What one run of pytest came to."""
    version = system.ask([python, "-c", "import platform; print(platform.python_version())"], tree)
    print(f"== CPython {version}, {form}, {system.name}", flush=True)
    report = tree / "report.xml"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", *words]
    system.run(command, tree, check=False)
    return Outcome.read(system.path(report), version, system.name, form)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.interpreters", description=__doc__.partition("\n")[0])
    made.add_argument("--suite", help="a suite of Debian: bookworm, trixie, testing, sid")
    made.add_argument("--root", type=Path, help="the directory that the system is, or will be, in")
    made.add_argument("--mirror", default="", help="where Debian is fetched from (default: debootstrap's)")
    made.add_argument("--bare", action="store_true", help="mount nothing in the system but /proc")
    made.add_argument("--compiled", action="store_true", help="run the suite compiled, too")
    made.add_argument("interpreters", nargs="+", help="versions with --suite (3.14), paths without")
    made.add_argument(
        "--words", nargs=argparse.REMAINDER, default=[], help="what pytest is given: the rest of the line"
    )
    return made


def main() -> int:
    """0 if every run passed, 1 otherwise."""
    asked = parser().parse_args()
    outcomes: list[Outcome] = []
    if asked.suite is not None:
        if asked.root is None:
            parser().error("--suite needs --root, a directory for the system")
        root = Root(asked.suite, asked.root.absolute(), asked.mirror, is_bare=asked.bare)
        root.bootstrap(asked.interpreters)
        for version in asked.interpreters:
            python = DEBIAN.format(version=version)
            outcomes += forms(root, python, compiled=asked.compiled, words=asked.words)
    else:
        for path in asked.interpreters:
            with tempfile.TemporaryDirectory(prefix="supervisor-d-interpreter-") as place:
                outcomes += forms(Here(Path(place)), path, compiled=asked.compiled, words=asked.words)
    print(page(outcomes))
    return int(any(outcome.failed or outcome.is_empty for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
