"""The version of the daemon, on the ground floor: the command line, the daemon and the distribution read it here."""

from __future__ import annotations

__version__ = "0.1.0"
