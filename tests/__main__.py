"""`python -m tests`: everything a change must pass, in the order in which it fails fastest.

The suite runs on the modules as they are. Where there is a C compiler, its tests of serving run once more with the way
of a request compiled in this tree (contrib/backend/compiling.py), which is how a wheel has it. Words on the command
line are pytest's; with --plain as the first, the suite is all that runs, on the modules as they are: for another
interpreter.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

STEPS: Final = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("pytest", "-q"),
)

PLAIN: Final = "--plain"

SERVING: Final = ("conformance", "frameworks", "process", "server_core", "test_compiled.py")
"""Of tests/: what runs on compiled modules, too. Nothing of the daemon is compiled: its tests would say the same."""

BACKEND: Final = Path(__file__).parents[1] / "contrib" / "backend" / "compiling.py"


def backend() -> ModuleType:
    """The build backend, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("compiling", BACKEND)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*step: str) -> int:
    """The exit code of a tool, whose output is told."""
    print("==", *step, flush=True)
    with subprocess.Popen([sys.executable, "-m", *step]) as tool:
        try:
            return tool.wait()
        except KeyboardInterrupt:
            return tool.wait()  # it was interrupted, too: run() would kill pytest before the tests' daemons have ended


def main() -> int:
    """0 if every step passed; the first failing step's exit code otherwise, with its output as the last thing told."""
    compiling = backend()
    compiling.clean()
    # A shell ignores SIGINT in what it starts in the background (POSIX, sh, 2.11), and whatever a test starts and
    # interrupts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    words = sys.argv[1:]
    if words[:1] == [PLAIN]:
        return run(*STEPS[-1], *words[1:])
    for step in STEPS:
        if code := run(*step, *(words if step is STEPS[-1] else [])):
            return code
    if missing := compiling.lacks():
        print(f"== not run compiled: there is {missing}", flush=True)
        return 0
    print("== compiled", flush=True)
    try:
        code = subprocess.run([sys.executable, str(BACKEND)], check=False).returncode
        return code or run(*STEPS[-1], *(words or [f"tests/{name}" for name in SERVING]))
    finally:
        compiling.clean()


if __name__ == "__main__":
    sys.exit(main())
