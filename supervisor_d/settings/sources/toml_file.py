"""A TOML file -> values by setting name. Its keys are the long names, as on the command line, at the top level.

One spelling: `graceful_timeout` is refused with `graceful-timeout` as the hint, so that one search finds every use.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from supervisor_d.settings.sources.foreign_flags import PYTHON_FILE, suggestion
from supervisor_d.settings.sources.provenance import Given, Origin, Source
from supervisor_d.settings.table import ROWS

NOT_IN_FILES = frozenset(("config",))
"""A file cannot name the file."""

SIZE_MAX = 1024 * 1024
"""Characters of the largest file that is read; chosen: every setting at its longest fits a hundred times over."""


def read_document(path: Path, asked: Source, problems: list[str]) -> dict[str, Given]:
    """What the file gives; whatever is wrong with it, or in it, is added to `problems`. `asked` named the file."""
    if path.suffix == ".py" or path.name.startswith("python:"):
        problems.append(f"config: {path} {PYTHON_FILE.format(path=path.name)} ({asked})")
        return {}
    import tomllib  # here, because a daemon without a file need not hold a parser of 1 MB in memory

    try:
        content = tomllib.loads(read_text(path))
    except OSError as error:
        problems.append(f"config: cannot read {path}: {error.strerror or error} ({asked})")
        return {}
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a NUL in the path, or nested without end
        problems.append(f"config: {path} is not TOML: {error} ({asked})")
        return {}
    return accept(content, path, problems)


def read_text(path: Path) -> str:
    """The text of a regular file; OSError for anything else, since a pipe or a device could stop a reload for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, encoding="utf-8", newline="") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        text = file.read(SIZE_MAX + 1)
    if len(text) > SIZE_MAX:
        raise OSError(f"larger than {SIZE_MAX} characters")
    return text


def accept(content: dict[str, object], path: Path, problems: list[str]) -> dict[str, Given]:
    """The keys that are settings; the others become problems, by name."""
    names = {row.long: row.name for row in ROWS.values() if row.name not in NOT_IN_FILES}
    given: dict[str, Given] = {}
    for key, value in content.items():
        source = Source(Origin.FILE, f"{path}: {key}")
        if isinstance(value, dict):
            problems.append(f"{key}: is a table; settings stand at the top level ({source})")
        elif key in names:
            given[names[key]] = Given(value, source)
        elif key in NOT_IN_FILES:
            problems.append(f"{key}: cannot be set in a file; give --config or SUPERVISOR_D_CONFIG ({source})")
        else:
            problems.append(f"{key}: unknown{suggestion(key.replace('_', '-'), names)} ({source})")
    return given
