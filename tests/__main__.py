"""`python -m tests`: everything a change must pass, in the order in which it fails fastest."""

from __future__ import annotations

import subprocess
import sys

STEPS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("pytest", "-q"),
)


def main() -> int:
    """0 if every step passed; the first failing step's exit code otherwise, with its output as the last thing told."""
    for step in STEPS:
        print("==", *step, flush=True)
        more = sys.argv[1:] if step[0] == "pytest" else []
        code = subprocess.run([sys.executable, "-m", *step, *more], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
