"""What the figures were measured on, without saying where."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from supervisor_d import __version__
from tests.bench.venv import PINNED


def described(python: Path) -> dict[str, object]:
    """Processor, kernel, Python and versions; read anew for each result, and the last one stands."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    version = subprocess.run([str(python), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {
        "date": time.strftime("%B %Y"),
        "processor": model.partition(":")[2].strip() or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release().split("-")[0],
        "python": version,
        "supervisor-d": __version__,
        "versions": [pin for pin in PINNED if "==" in pin],
    }
