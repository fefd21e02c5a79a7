"""The process that watches files for `run --reload`, and says which were saved: one JSON list of paths a line.

The first line is an empty list: it watches from then on.

It imports nothing of ours and nothing of the application. It ends when its standard input does, and so with its master.
With watchfiles the kernel tells of changes; without it, times and sizes are compared.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import PurePath
from typing import Final

POLL_S: Final = 0.25
"""Between two looks without watchfiles. Chosen: a quarter of the second in which a save should be seen."""

NEVER: Final = ("*.py[cod]", "*~", "#*#", ".*", "*.sw?", "*.tmp", "4913", "__pycache__")
"""What editors and Python write beside a file; 4913 is Vim's try whether it can write in a directory."""


def counts(path: str, root: str, include: Iterable[str], exclude: Iterable[str]) -> bool:
    """Whether a change of this file, below `root`, is a save."""
    parts = PurePath(os.path.relpath(path, root)).parts
    if any(fnmatch(part, pattern) for part in parts for pattern in NEVER):
        return False
    return _named(path, include) and not _named(path, exclude)


def _named(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(os.path.basename(path), pattern) or PurePath(path).match(pattern) for pattern in patterns)


def polled(roots: list[str], delay_s: float, pause: threading.Event) -> Iterator[set[str]]:
    """Nothing once, then the files that have changed, whenever some have and then none has for `delay_s`."""
    before = _look(roots)
    yield set()
    changed: set[str] = set()
    while not pause.wait(delay_s if changed else POLL_S):
        now = _look(roots)
        more = {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
        before = now
        if changed and not more:
            yield changed
            changed = set()
        changed |= more


def _look(roots: list[str]) -> dict[str, tuple[int, int, int]]:
    found = {}
    for root in roots:
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in NEVER)]
            for name in files:
                path = os.path.join(folder, name)
                try:
                    there = os.stat(path)
                except OSError:  # removed meanwhile
                    continue
                found[path] = (there.st_mtime_ns, there.st_size, there.st_ino)
    return found


def told(roots: list[str], delay_s: float) -> Iterator[set[str]]:
    """The same by watchfiles. Raises ImportError without it."""
    from watchfiles import watch

    yield set()
    step_ms = max(1, round(delay_s * 1000))
    for changes in watch(*roots, watch_filter=None, step=step_ms, raise_interrupt=False):
        yield {path for _, path in changes}


def main(argv: list[str]) -> None:
    """Watch what the argument says, until standard input ends."""
    wanted = json.loads(argv[1])
    roots, delay_s = [os.path.realpath(root) for root in wanted["roots"]], wanted["delay_s"]
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        import watchfiles  # noqa: F401 - whether it is there
    except ImportError:
        batches = polled(roots, delay_s, threading.Event())
    else:
        batches = told(roots, delay_s)
    for batch in batches:
        saved = sorted(path for path in batch if _is_wanted(path, roots, wanted["include"], wanted["exclude"]))
        if saved or not batch:
            os.write(1, json.dumps(saved[:9]).encode() + b"\n")


def _is_wanted(path: str, roots: Iterable[str], include: Iterable[str], exclude: Iterable[str]) -> bool:
    return any(path.startswith(os.path.join(root, "")) and counts(path, root, include, exclude) for root in roots)


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv)
