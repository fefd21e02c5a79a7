"""A translation as a person reads it: our command line, a TOML file of the same, and what differs. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping

from supervisor_d.compat.migrate.found import FoundCommand
from supervisor_d.compat.options.table import Fate, PeerOption
from supervisor_d.compat.shared.translation import Translation
from supervisor_d.settings.resolve import parse
from supervisor_d.settings.sources.provenance import Given
from supervisor_d.settings.table import ROWS


def needed(given: Mapping[str, Given]) -> Iterator[tuple[str, object]]:
    """(our setting, value) of what is not our default anyway, the application first."""
    for name, value in sorted(given.items(), key=lambda item: item[0] != "app"):
        try:
            if parse(ROWS[name], value.value) == ROWS[name].default:
                continue
        except ValueError:  # refused when it is started, by its name
            pass
        yield name, value.value


def command_line(translation: Translation) -> str:
    """`supervisor-d run APP --flags`."""
    words = ["supervisor-d", "run"]
    for name, value in needed(translation.given):
        row = ROWS[name]
        if name == "app":
            words.append(str(value))
        elif isinstance(value, bool) and row.option.kind.is_flag:
            words.append(f"--{row.long}" if value else f"--no-{row.long}")
        else:
            several = value if isinstance(value, (list, tuple)) else [value]
            words += [word for item in several for word in (f"--{row.long}", str(item))]
    return shlex.join(words)


def toml(translation: Translation) -> str:
    """The same as a file for --config."""
    lines = []
    for name, value in needed(translation.given):
        # JSON's texts, numbers and arrays of texts are TOML's, too
        plain = list(value) if isinstance(value, tuple) else value
        lines.append(f"{ROWS[name].long} = {json.dumps(plain, ensure_ascii=False)}")
    return "\n".join(lines)


def page(found: FoundCommand, translation: Translation, options: Mapping[str, PeerOption]) -> str:
    """All of it, for standard output."""
    asked = {value.source.place.split()[-1] for value in translation.given.values()}
    differences = [
        f"{row.flags[0]}: {row.difference}"
        for row in options.values()
        if row.difference and row.fate is Fate.MAPPED and asked.intersection(row.flags)
    ]
    told = [*translation.notes, *differences, *found.notes]
    if found.directory:
        told.append(f"It is started in {found.directory}.")
    parts = [
        f"# from {found.source}: {shlex.join([found.peer, *found.words])}",
        command_line(translation),
        "",
        "# the same as a file: supervisor-d run --config supervisor-d.toml",
        toml(translation),
    ]
    if told:
        parts += ["", "# what differs", *(f"# - {sentence}" for sentence in told)]
    return "\n".join(parts)
