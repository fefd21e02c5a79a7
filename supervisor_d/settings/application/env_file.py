"""`--env-file`: variables of the application from a file in python-dotenv's syntax.

What python-dotenv 1.2 reads decides, since that is what such files are written for: `export`, keys in single quotes,
values in single quotes (escapes \\\\ and \\'), in double quotes (\\n and its like, several lines), or as they stand, up
to a comment behind white space; ${NAME} and ${NAME:-default} in all of them, where the environment comes before the
file. A name without = is no variable. Of two lines with the same name the last one counts, even if it is such a name.

One thing differs: a line that python-dotenv warns of and leaves out is an error here, with its number.

The variables are for the processes that run the application, and never replace one that is there already.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.application.location import Location
from supervisor_d.settings.sources.toml_file import read_text

_IDLE: Final = r"(?:\s+|(?:export[^\S\r\n]+)?\#[^\r\n]*)+"
_EXPORT: Final = r"(?:export[^\S\r\n]+)?"
_KEY: Final = r"(?:'(?P<quoted>[^']+)'|(?P<key>(?!')[^=\#\s]+))[^\S\r\n]*(?P<equals>=?)"
_SINGLE: Final = r"[^\S\r\n]*'((?:\\[\s\S]|[^'\\])*)'"
_DOUBLE: Final = r'[^\S\r\n]*"((?:\\[\s\S]|[^"\\])*)"'
_PLAIN: Final = r"""(?![^\S\r\n]*['"])[^\r\n]*"""
_REST: Final = r"[^\S\r\n]*(?:\#[^\r\n]*)?(?:\r\n|\n|\r|\Z)"
_COMMENT: Final = r"\s+#.*"
_OPEN_QUOTE: Final = r"[^\r\n=]*=[^\S\r\n]*(['\"])"
_SINGLE_ESCAPE: Final = r"\\[\\']"
_DOUBLE_ESCAPE: Final = r"\\[\\'\"abfnrtv]"
_VARIABLE: Final = r"\$\{(?P<name>[^\}:]*)(?::-(?P<default>[^\}]*))?\}"
"""Compiled when a file is read: few have one."""


def variables_of(location: Location, environ: Mapping[str, str]) -> dict[str, str]:
    """What the file of a generation adds to `environ`; nothing without one. Raises ConfigurationError."""
    if not location.env_file:
        return {}
    try:
        return added(read_text(Path(location.env_file)), environ)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"env-file: {_told(location.env_file, error)}") from None


def env_file_problem(path: str) -> str | None:
    """What is wrong with the file, if anything."""
    try:
        added(read_text(Path(path)), {})
    except (OSError, ValueError) as error:
        return _told(path, error)
    return None


def _told(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"cannot read {path}: {error.strerror or error}"
    return f"is not UTF-8, {path}: {error}" if isinstance(error, UnicodeError) else f"{path}, {error}"


def added(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the file that the environment has not; ValueError begins with the number of a line."""
    found: dict[str, str] = {}
    for name, value in bindings(text):
        if value is None:
            found.pop(name, None)
            continue
        found[name] = re.sub(_VARIABLE, lambda match: _value_of(match, {**found, **environ}), value)
    return {name: value for name, value in found.items() if name not in environ}


def _value_of(variable: re.Match[str], known: Mapping[str, str]) -> str:
    return known.get(variable["name"], variable["default"] or "")


def bindings(text: str) -> Iterator[tuple[str, str | None]]:
    """(name, value) of each line that has a name; None: it has no more. ValueError begins with the number of a line."""
    idle = re.compile(_IDLE)
    at, text = 0, text.removeprefix("\ufeff")
    while True:
        if skipped := idle.match(text, at):
            at = skipped.end()
        if at == len(text):
            return
        found = _statement(text, at)
        if found is None:
            raise ValueError(f"line {_line(text, at)}: {_mistake(text, at)}")
        name, value, end = found
        if "\0" in name or "\0" in (value or ""):
            raise ValueError(f"line {_line(text, at)}: {name!r} holds a NUL character, which no variable can")
        yield name, value
        at = end


def _statement(text: str, at: int) -> tuple[str, str | None, int] | None:
    """Name, value and end of the statement that begins here; None if none does.

    Step by step: what one pattern has taken, the next one does not give back.
    """
    exported = re.compile(_EXPORT).match(text, at)
    key = re.compile(_KEY).match(text, exported.end() if exported else at)
    if key is None:
        return None
    value, end = _value(text, key.end()) if key["equals"] else (None, key.end())
    rest = re.compile(_REST).match(text, end)
    return (key["quoted"] or key["key"], value, rest.end()) if rest else None


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins here, and its end; of one whose quotes never end nothing is taken."""
    if quoted := re.compile(_SINGLE).match(text, at):
        return re.sub(_SINGLE_ESCAPE, _decoded, quoted[1]), quoted.end()
    if quoted := re.compile(_DOUBLE).match(text, at):
        return re.sub(_DOUBLE_ESCAPE, _decoded, quoted[1]), quoted.end()
    if plain := re.compile(_PLAIN).match(text, at):
        return re.sub(_COMMENT, "", plain[0]).strip(), plain.end()
    return "", at


def _decoded(escape: re.Match[str]) -> str:
    return codecs.decode(escape[0], "unicode-escape")


def _line(text: str, at: int) -> int:
    """The number of the line; \\r\\n, \\n and \\r end one."""
    return len(re.findall(r"\r\n|\n|\r", text[:at])) + 1


def _mistake(text: str, at: int) -> str:
    """What is wrong with the statement; its value is not shown, since it may be a secret."""
    if quote := re.compile(_OPEN_QUOTE).match(text, at):
        if quote[1] in text[quote.end() :]:
            return f"nothing but a comment may follow the closing {quote[1]}"
        return f"the value begins with {quote[1]} and never ends"
    return "must be NAME=value, a comment or empty"
