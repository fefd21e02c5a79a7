"""The command of a Dockerfile: CMD and ENTRYPOINT of its last stage, with what ENV says. Pure.

Source: the Dockerfile reference. Of the instructions these are read: FROM, ENV, ARG, WORKDIR, ENTRYPOINT, CMD, SHELL.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

from supervisor_d.compat.migrate.found import FoundCommand, expand, find, in_shell
from supervisor_d.errors import ConfigurationError

_ESCAPE: Final = re.compile(r"#\s*escape\s*=\s*(\S)")
_ASSIGNED: Final = re.compile(r"""(\w+)=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)""")


def read(text: str, source: str, given: Mapping[str, str]) -> FoundCommand:
    """The command line that a container of this file runs; ConfigurationError if it runs none of a peer.

    `given` are variables that are known from elsewhere; they win over ENV.
    """
    variables: dict[str, str] = {}
    last: dict[str, tuple[int, str]] = {}
    for number, instruction, rest in _instructions(text):
        if instruction == "FROM":
            variables, last = {}, {}
        elif instruction in {"ENV", "ARG"}:
            variables |= _assigned(rest)
        elif instruction in {"CMD", "ENTRYPOINT", "WORKDIR"}:
            last[instruction] = (number, rest)
            if instruction == "ENTRYPOINT":
                last.pop("CMD", None)  # of an image's base, which an ENTRYPOINT of its own takes away
    if "CMD" not in last and "ENTRYPOINT" not in last:
        raise ConfigurationError(f"{source}: its last stage has neither CMD nor ENTRYPOINT")
    return _joined(last, {**variables, **given}, source)


def _joined(last: Mapping[str, tuple[int, str]], known: Mapping[str, str], source: str) -> FoundCommand:
    directory = last["WORKDIR"][1] if "WORKDIR" in last else ""
    words: list[str] = []
    where = source
    for instruction in ("ENTRYPOINT", "CMD"):
        if instruction not in last:
            continue
        number, rest = last[instruction]
        where = f"{source}:{number}"
        if not rest.startswith("["):  # the form for a shell, which takes no words of the other instruction
            return in_shell(rest, known, directory=directory, source=where)
        words += _array(rest, where)
    return find(words, known, directory=expand(directory, known, where), source=where)


def _array(rest: str, where: str) -> list[str]:
    try:
        words = json.loads(rest)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{where}: not a JSON array ({error.msg}): {rest}") from None
    if not all(isinstance(word, str) for word in words):
        raise ConfigurationError(f"{where}: an array of texts is needed: {rest}")
    return list(words)


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """(number of its first line, name in capitals, what follows) of each instruction."""
    escape = "\\"
    if found := _ESCAPE.match(text):
        escape = found[1]
    begun, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begun = begun or number
        if line.rstrip().endswith(escape):
            joined += line.rstrip()[:-1] + " "
            continue
        name, _, rest = (joined + line).strip().partition(" ")
        yield begun, name.upper(), rest.strip()
        begun, joined = 0, ""


def _assigned(rest: str) -> dict[str, str]:
    """What `NAME=value ...` says, or the older form `NAME value`."""
    if "=" not in rest.split(maxsplit=1)[0]:
        name, _, value = rest.partition(" ")
        return {name: value.strip()} if value else {}
    return {name: "".join(shlex.split(value)) for name, value in _ASSIGNED.findall(rest)}
