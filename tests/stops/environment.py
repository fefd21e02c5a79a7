"""A virtual environment with the frameworks, and with applications whose clients stay connected."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.frameworks import environment

PINNED = (
    "uvicorn==0.54.0",
    "websockets",
    "sse-starlette",
    "python-socketio==5.18.1",
    "mcp==2.3.0",
    "gradio==6.31.0",
    "marimo==0.25.2",
)
"""Current as of November 2026."""


def prepare(directory: Path) -> str:
    """The Python of an environment that holds them; made if it is not there."""
    python = environment.prepare(directory)
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PINNED], check=True)
    return python
