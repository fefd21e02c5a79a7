"""Modules that the master needs, but not for its listeners and its first workers: imported a second after its start.

No worker is started before the master's own imports are done, and until one answers, a deploy, a test and a developer
wait. These were a quarter of them: h11 and psutil 10 ms each, the reader of access log formats 5 ms (CPython 3.11.7,
2026-11).

A function that needs one earlier imports it itself. Otherwise it is not put off for as long: when
a first caller comes, months later perhaps, the code on the disk may be another. Rejected: as soon as a worker serves,
when the master would take its 25 ms from the first request.
"""

from __future__ import annotations

import importlib
from typing import Final

LATE: Final = (
    "server_core.access_log.format",  # by a reload that finds an access log format in the file
    "supervisor_d.compat.options.granian",  # with the two below, by a reload that finds an unknown name in the file
    "supervisor_d.compat.options.hypercorn",
    "supervisor_d.compat.options.uvicorn",
    "supervisor_d.control.protocol",  # with h11, by the first caller
    "supervisor_d.host.observation.procfs",  # with psutil, by the first look at a worker
)

AFTER_S: Final = 1.0
"""From the master's start. Chosen: by then most applications answer, and the code on the disk is still the same."""


def import_late() -> None:
    """Import what is not there yet; 25 ms, of which a signal has to wait for all."""
    for name in LATE:
        importlib.import_module(name)
