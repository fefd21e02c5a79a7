"""The virtual environment in which the servers are compared: the same Python and the same libraries for all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PINNED = (
    *("uvicorn==0.54.0", "gunicorn==27.0.1", "granian[uvloop]==2.8.7", "hypercorn[uvloop]==0.18.0", "fastpysgi==0.6"),
    *("uvloop==0.23.0", "httptools==0.9.0", "h11==0.16.0", "websockets==17.4", "wsproto==1.3.2"),
    *("starlette==1.10.0", "fastapi==0.165.0", "matplotlib==3.11.2"),
    *("click>=8.1.7", "structlog>=24.4", "psutil>=5.9.8"),
)
"""Peers and what they share with us, current as of November 2026; our own further requirements are not in any race."""


def python_of(directory: Path | None) -> Path:
    """The interpreter of the environment, made if it is not there or was made for other versions."""
    place = directory or Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / "supervisor-d-bench"
    python = place / "bin" / "python"
    mark = place / f"made-{hashlib.sha256(' '.join(PINNED).encode()).hexdigest()[:12]}"
    if not mark.exists():
        print(f"installing the peers into {place} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PINNED], check=True)
        mark.touch()
    return python
