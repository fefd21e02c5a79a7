"""A peer's command line as it was found, and what stands around it. Pure.

Around it stand what starts other programs (`exec`, `env`, `dumb-init --`, `uv run`, `python -m`), assignments of
variables, and other commands of the same shell line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final

from server_core.records import dataclass
from supervisor_d.compat.options.table import PEERS
from supervisor_d.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class FoundCommand:
    """A command line of `peer`: its words without the program's name, its variables, where it was found.

    `directory` is where it is started, "" if that is not said. `notes` are sentences about what was left out.
    """

    peer: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    source: str
    notes: tuple[str, ...] = ()


_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)

_STARTERS: Final = frozenset(
    {
        *("exec", "env", "nohup", "nice", "time", "sudo", "chpst", "setuidgid", "gosu", "su-exec", "dumb-init", "tini"),
        *("poetry", "uv", "uvx", "pdm", "hatch", "pipenv", "rye", "conda", "micromamba"),
        *("opentelemetry-instrument", "ddtrace-run", "newrelic-admin"),
    }
)
"""Programs that start the one behind them; what stands between is their own."""

_KEPT: Final = frozenset({"opentelemetry-instrument", "ddtrace-run", "newrelic-admin"})
"""Starters that change the application: they stay in front."""

_SEPARATORS: Final = frozenset({"&&", "||", ";", "|", "&"})


def peer_of(word: str) -> str | None:
    """The peer that a program's name or path names, None for any other."""
    name = PurePath(word).name
    return name if name in PEERS else None


def find(
    words: Sequence[str], environment: Mapping[str, str], *, directory: str = "", source: str = "the command line"
) -> FoundCommand:
    """The peer's command in the words of one program; ConfigurationError if there is none."""
    known, rest, own = dict(environment), list(words), list[str]()
    while rest:
        word = rest.pop(0)
        name = PurePath(word).name
        if not own and (assigned := _ASSIGNMENT.fullmatch(word)):
            known[assigned[1]] = assigned[2]
        elif peer := peer_of(word) or (_as_module(rest) if name.startswith(("python", "pypy")) else None):
            kept = [f"Keep `{shlex.join(own)}` in front."] if own and own[0] in _KEPT else []
            return FoundCommand(peer, tuple(rest), known, directory, source, tuple(kept))
        elif name in {"sh", "bash", "ash", "dash"} and "-c" in rest[:-1]:
            return in_shell(rest[rest.index("-c") + 1], known, directory=directory, source=source)
        elif own or name in _STARTERS:
            own.append(word)
        else:
            break
    raise ConfigurationError(f"{source}: none of {', '.join(PEERS)} is started by: {shlex.join(words)}")


def _as_module(rest: list[str]) -> str | None:
    """The peer of `python -m PEER`; the words up to it are taken away, if it is one."""
    if "-m" in rest:
        at = rest.index("-m") + 1
        if at < len(rest) and (peer := peer_of(rest[at])) is not None:
            del rest[: at + 1]
            return peer
    return None


def in_shell(line: str, environment: Mapping[str, str], *, directory: str = "", source: str) -> FoundCommand:
    """The peer's command in a line for a shell, its variables put in; ConfigurationError if there is none."""
    notes: list[str] = []
    found = None
    for words in _commands(line, source):
        if words[:1] == ["cd"] and len(words) == 2:
            directory = words[1]
            continue
        try:
            found = find([expand(word, environment, source) for word in words], environment, source=source)
        except ConfigurationError:
            if any(peer_of(word) for word in words):
                raise
            notes.append(f"The line also runs `{shlex.join(words)}`: keep that.")
    if found is None:
        raise ConfigurationError(f"{source}: none of {', '.join(PEERS)} is started by: {line}")
    return FoundCommand(found.peer, found.words, found.environment, directory, source, (*found.notes, *notes))


def _commands(line: str, source: str) -> Iterator[list[str]]:
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    try:
        for word in reader:
            if word in _SEPARATORS:
                if words:
                    yield words
                words = []
            else:
                words.append(word)
    except ValueError as error:
        raise ConfigurationError(f"{source}: {error} in: {line}") from None
    if words:
        yield words


_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")


def expand(word: str, environment: Mapping[str, str], source: str) -> str:
    """The word with $NAME, ${NAME} and ${NAME:-default} put in; ConfigurationError for one that is not known."""

    def value(found: re.Match[str]) -> str:
        name, default = found[1] or found[3], found[2]
        if name in environment:
            return environment[name]
        if default is None:
            raise ConfigurationError(f"{source}: ${name} is not known; say it with --env {name}=VALUE")
        return default

    return _VARIABLE.sub(value, word)
