"""Whether anything keeps this process, and so the application, from doing whatever root may do. Host side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

STATUS: Final = Path("/proc/self/status")
UID_MAP: Final = Path("/proc/self/uid_map")
LAST_CAPABILITY: Final = Path("/proc/sys/kernel/cap_last_cap")

UNCONFINED: Final = (
    "the application runs as root, with every capability and no sandbox; give --user, or run it as a unit "
    "(supervisor-d init systemd) or in a container"
)

EVERY_USER: Final = ["0", "0", "4294967295"]
"""The map of a process that is in no user namespace of its own (user_namespaces(7))."""


def is_unconfined(status: Path = STATUS, uid_map: Path = UID_MAP, last: Path = LAST_CAPABILITY) -> bool:
    """Whether we are root with every capability, no seccomp filter and no user namespace; False if it cannot be told.

    A container runtime and a unit with sandboxing take at least some capabilities away.
    """
    if os.geteuid() != 0:
        return False
    try:
        told = dict(line.split(":\t", 1) for line in status.read_text("ascii", "replace").splitlines() if ":\t" in line)
        all_capabilities = (1 << (int(last.read_text()) + 1)) - 1
        has_all = int(told["CapEff"], 16) & all_capabilities == all_capabilities
        is_filtered = told.get("Seccomp", "0").strip() != "0" or told.get("NoNewPrivs", "0").strip() != "0"
        return has_all and not is_filtered and uid_map.read_text().split() == EVERY_USER
    except (OSError, ValueError, KeyError):  # not Linux, or /proc is not mounted
        return False
