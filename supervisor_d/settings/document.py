"""A TOML file -> values by setting name. Its keys are the long names, as on the command line, at the top level.

One spelling: `graceful_timeout` is refused with `graceful-timeout` as the hint, so that one search finds every use.
"""

from __future__ import annotations

from pathlib import Path

from supervisor_d.settings.rows import ROWS
from supervisor_d.settings.source import Given, Origin, Source, near_misses

NOT_IN_FILES = frozenset(("config",))
"""A file cannot name the file."""


def read_document(path: Path, asked: Source, problems: list[str]) -> dict[str, Given]:
    """What the file gives; whatever is wrong with it, or in it, is added to `problems`. `asked` named the file."""
    import tomllib  # here, because a daemon without a file need not hold a parser of 1 MB in memory

    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        problems.append(f"config: cannot read {path}: {error.strerror} ({asked})")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"config: {path} is not TOML: {error} ({asked})")
        return {}
    return accept(content, path, problems)


def accept(content: dict[str, object], path: Path, problems: list[str]) -> dict[str, Given]:
    """The keys that are settings; the others become problems, by name."""
    names = {row.long: row.name for row in ROWS.values() if row.name not in NOT_IN_FILES}
    given: dict[str, Given] = {}
    for key, value in content.items():
        source = Source(Origin.FILE, f"{path}: {key}")
        if key in names:
            given[names[key]] = Given(value, source)
        elif key in NOT_IN_FILES:
            problems.append(f"{key}: cannot be set in a file; give --config or SUPERVISOR_D_CONFIG ({source})")
        else:
            problems.append(f"{key}: unknown{near_misses(key.replace('_', '-'), names)} ({source})")
    return given
