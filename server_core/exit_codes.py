"""Exit codes of the daemon, of a server without one, and of a worker; scripts and units depend on them."""

from __future__ import annotations

from typing import Final

EXIT_OK: Final = 0
"""Stopped as asked."""

EXIT_INTERNAL: Final = 1
"""Our own fault."""

EXIT_USAGE: Final = 2
"""Usage or configuration."""

EXIT_BOOT_FAILED: Final = 3
"""The application could not boot; of the daemon, at its start."""

EXIT_LISTENER: Final = 4
"""A listener could not be bound or inherited."""
