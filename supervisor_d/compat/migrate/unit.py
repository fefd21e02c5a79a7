"""The command of a systemd unit: ExecStart= of [Service], with Environment= and WorkingDirectory=. Pure.

Source: systemd.service(5), systemd.syntax(7), systemd.exec(5).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Final

from supervisor_d.compat.migrate.found import FoundCommand, expand, find
from supervisor_d.errors import ConfigurationError

_PREFIXES: Final = "@-:+!|"
"""What may stand before the program's path: systemd.service(5), "Command lines"."""


def read(text: str, source: str, given: Mapping[str, str]) -> FoundCommand:
    """The command line that this unit runs; ConfigurationError if it is none of a peer.

    `given` are variables that are known from elsewhere, such as the unit's EnvironmentFile=; they win.
    """
    command, where, directory = "", source, ""
    variables: dict[str, str] = {}
    notes: list[str] = []
    for number, key, value in _assignments(text):
        if key == "ExecStart":
            command, where = value, f"{source}:{number}"
        elif key == "WorkingDirectory":
            directory = value.lstrip("-")
        elif key == "Environment":
            variables |= dict(_pair(word, f"{source}:{number}") for word in shlex.split(value))
        elif key == "EnvironmentFile":
            notes.append(f"{value.lstrip('-')} was not read: what it sets may be for the peer, too.")
    if not command:
        raise ConfigurationError(f"{source}: [Service] has no ExecStart=")
    known = {**variables, **given}
    words = [expand(word.replace("%%", "%"), known, where) for word in shlex.split(command.lstrip(_PREFIXES))]
    found = find(words, known, directory=directory, source=where)
    return FoundCommand(found.peer, found.words, found.environment, directory, where, (*found.notes, *notes))


def _pair(word: str, where: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise ConfigurationError(f"{where}: Environment= needs NAME=VALUE, not {word!r}")
    return name, value


def _assignments(text: str) -> Iterator[tuple[int, str, str]]:
    """(number of its first line, key, value) of each assignment in [Service]."""
    section, begun, joined = "", 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        begun = begun or number
        if stripped.endswith("\\"):
            joined += stripped[:-1] + " "
            continue
        whole, first = joined + stripped, begun
        begun, joined = 0, ""
        if whole.startswith("["):
            section = whole
        elif section == "[Service]":
            key, _, value = whole.partition("=")
            yield first, key.strip(), value.strip()
