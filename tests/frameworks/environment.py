"""A virtual environment of the frameworks' own: pinned versions, and what the daemon itself needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.helpers.daemon import REPOSITORY

PINNED = (
    "fastapi==0.165.0",
    "starlette==1.10.0",
    "django==5.2.19",
    "channels==4.3.2",
    "litestar==2.25.0",
    "quart==0.22.0",
    "python-multipart==0.0.34",
)
"""Current as of November 2026 where Python 3.11 can have it; Django 5.2 is the long-term support release."""

VERSIONS = "import json, sys, importlib.metadata as m; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"


def prepare(directory: Path) -> str:
    """The Python of an environment that holds the pinned versions; made if it is not there."""
    python = str(directory / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    own = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINNED, *own], check=True)
    return python


def versions(python: str) -> dict[str, str]:
    """What is installed there of what is pinned."""
    names = [pin.partition("==")[0] for pin in PINNED]
    asked = subprocess.run([python, "-c", VERSIONS, *names], check=True, capture_output=True, text=True)
    found: object = json.loads(asked.stdout)
    assert isinstance(found, dict)
    return {str(name): str(version) for name, version in found.items()}
