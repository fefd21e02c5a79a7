"""Modules of the standard library that most applications import, in memory once for the workers that are forked later.

A template without the application (template.py) imports them before it forks, and each worker has 1.3 MiB less of its
own: four with one FastAPI route and their template took 142 MiB instead of 146 (CPython 3.11.7, PSS, 400 requests).

An application that does not need one of them pays its size once in a generation, and 17 ms for all at a start. Rejected
for that: what fewer need (urllib.request 412 KB, email.policy 444, logging.config 340, argparse 364).
Rejected, too, and measured: to fill the gaps in the allocator's pools before the fork, 300 KB in 11 MB (no difference
to be seen); to go through such code once, so that what it writes is written (importing typing_extensions twice: none).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

EARLY: Final[Mapping[str, int]] = {
    "numbers": 64,
    "decimal": 80,
    "fractions": 104,
    "platform": 116,
    "uuid": 68,
    "sysconfig": 64,
    "zoneinfo": 236,
    "hmac": 8,
    "secrets": 4,
    "shlex": 16,
    "email.parser": 48,
    "http.client": 172,
    "http.cookies": 72,
    "mimetypes": 32,
    "html": 508,
    "pickle": 184,
    "unicodedata": 8,
}
"""Each with its size in KB, imported in this order after the server (CPython 3.11.7, Linux 6.18). All but the last two
are what FastAPI imports with Starlette and pydantic (0.165, 1.10, 2.14); those are imported by four at least of Django,
Litestar, Quart, aiohttp and httpx. So are ten of the others. Whatever they import themselves is here, too."""


TICK_S: Final = 2.0
"""No file system has a coarser time stamp: FAT's, of the writes that are told by it."""


def import_early(app_dir: str, path: list[str]) -> None:
    """Import what there is of the table, and take all that is in memory out of the collector's sight.

    Nothing of the table if the application, which will look in `app_dir` and along `path`, means a module of its own by
    one of these names: it would get ours.
    """
    if not shadowed(EARLY, [os.path.abspath(app_dir or os.curdir), *path]):
        for name in EARLY:
            with contextlib.suppress(ImportError):  # a Python without it: whoever needs it will say so
                importlib.import_module(name)
    forget_young_folders()
    gc.collect()
    gc.freeze()


def forget_young_folders() -> None:
    """Have folders listed anew that were written to a moment before their listing: what comes next may not show.

    The import system lists a folder again when its time stamp is another, and two changes within one tick of it have
    the same (importlib.invalidate_caches). A process that lives as long as a template must not hold to the first of
    two. Rejected: to forget all listings, which each worker would then have to make: 0.4 MB of its own.
    """
    for name in tuple(sys.path_importer_cache):
        try:
            is_young = time.time() - os.stat(name).st_mtime < TICK_S
        except OSError:  # it is not there; it may be there later
            is_young = True
        if is_young:
            del sys.path_importer_cache[name]


def shadowed(names: Iterable[str], path: list[str]) -> list[str]:
    """Those whose first part is found elsewhere than in the standard library, along this path."""
    library = Path(os.__file__).parent
    found = []
    for name in names:
        top = name.partition(".")[0]
        spec = PathFinder.find_spec(top, path)
        if spec is not None and (spec.origin is None or not Path(spec.origin).is_relative_to(library)):
            found.append(name)
    return found
