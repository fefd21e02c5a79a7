"""Modules that a library imports only when it is first used, imported with the application instead.

A first request is not the time to read a library from the disk: it takes 20 ms, the code may have been replaced since
the worker was started, and in a worker that was forked everything that an import makes is that worker's own. Four
workers with --preload and one FastAPI route each had 2.9 MB more than they have with it (CPython 3.11.7, anyio 4,
FastAPI 0.165, after 400 requests).

What a table of this kind does not know costs what it always did: an application can import it itself.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping
from typing import Final

LATE: Final[Mapping[str, str]] = {
    "anyio": "anyio._backends._asyncio",  # by the first call of anything: in Starlette, of a `def` endpoint
    "fastapi.applications": "fastapi.telemetry._runtime",  # by the lifespan start-up, since FastAPI 0.165
}
"""By the module that is there if the application uses the library. The names are the libraries' own affair: one that is
no more is not missed."""


def import_late() -> None:
    """Import what the libraries that are loaded would import on their first use."""
    for present, late in LATE.items():
        if present in sys.modules:
            with contextlib.suppress(Exception):  # whatever is wrong with it, the library will say so when it needs it
                importlib.import_module(late)
