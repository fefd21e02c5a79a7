"""From a log format to the function that writes a line: made once, and every unknown atom refused by name.

The function returns one f-string of the atoms' expressions. Before it stand the statements that give the names in them,
those that are used and no others, so that a format without header fields never looks at one. Neighbours that need the
request line alone are one text for each line, which is remembered: the same lines come again and again, and to look
such a text up takes a third of the time in which it is made.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

from server_core.access_log import atom_values
from server_core.access_log.atoms import ANY_WORD, LETTERS, NAMED, WORDS, Atom, Kind
from server_core.access_log.escaping import ESCAPED, NOTHING, QUOTED, Harmless, escaped, quote
from server_core.access_log.formats import AUTO, FORMATS, JSON
from server_core.access_log.record import (
    CLOSED,
    COMMON_TIMES,
    CUT,
    KEPT,
    LOCAL_TIMES,
    NEVER_ANSWERED,
    PROTOCOLS,
    UTC_TIMES,
    Place,
    SentHead,
    Served,
)
from server_core.log import REQUEST_KEYS
from server_core.records import dataclass

if TYPE_CHECKING:  # a master, which checks formats, has no use for them
    from server_core.http.message import Head

JSON_KEYS: Final = ("timestamp", *REQUEST_KEYS)

JSON_TEXTS: Final = ("timestamp",)
"""Those of them that are a MIXED atom and no number."""

JSON_HEAD: Final = '{"event": "request.ended", "level": "info"'
"""A line of JSON looks like one of our log, because on standard error it stands among them."""

ATOM: Final = re.compile(
    r"""%(?:
        (?P<percent>%)
      | \( (?: \{(?P<field>[^}]*)\}(?P<of>\w) | (?P<name>[^(){}]*) ) \) (?P<width>-?[0-9]{0,3}) [sd]
      | [<>]? (?:\{(?P<word>[^}]*)\})? (?P<letter>[A-Za-z])
    )""",
    re.VERBOSE,
)
"""Apache's < and > ask for the first or the last of several internal redirects, and there are none."""

GIVEN: Final = {
    "line": "line = served.line",
    "scope": "scope = served.scope",
    "status": f"status = served.status or {NEVER_ANSWERED}",
    "size": "size = 0 if line.method == 'HEAD' or status in BODILESS else served.sent_bytes",
    "end": "end = CUT if is_cut else CLOSED if writer is None or writer.close else KEPT",
    "ended_at": "ended_at = time()",
    "fields": "fields = dict(scope['headers']) if head is None else head.by_name()",
    "sent_fields": "sent_fields = by_name(writer.noted) if writer is not None else {}",
}
"""The names that atoms are expressions over, besides the function's arguments, and what gives them; in this order."""

OF_LINE: Final = frozenset(("line", "ESCAPED", "QUOTED", "PROTOCOLS", "nothing"))
"""What may be named in a text that is remembered by its request line."""

Write = Callable[[Served, float, bool, "SentHead | None", "Head | None"], str]
"""(what ended, its duration in seconds, whether it was cut, who wrote its response, its head) -> line with newline.
Without a head the request's fields are those in its scope."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a line looks: the inside of an f-string, in pieces, and what stands in it where there is nothing."""

    pieces: tuple[str, ...]
    nothing: str

    @property
    def reads_sent(self) -> bool:
        """Whether the fields of the response have to be kept for it."""
        return "sent_fields" in self._needed()

    def writer(self, place: Place) -> Write:
        """The function that writes a line."""
        names = {**vars(atom_values), "time": time.time, "strftime": time.strftime, "localtime": time.localtime}
        names |= {"COMMON_TIMES": COMMON_TIMES, "UTC_TIMES": UTC_TIMES, "LOCAL_TIMES": LOCAL_TIMES}
        names |= {"CUT": CUT, "CLOSED": CLOSED, "KEPT": KEPT, "PROTOCOLS": PROTOCOLS}
        names |= {"ESCAPED": ESCAPED, "QUOTED": QUOTED, "Harmless": Harmless, "nothing": self.nothing}
        fixed = {name: self.nothing if value is None else str(value) for name, value in place._asdict().items()}
        names |= fixed
        source = self.source()
        for name, text in fixed.items():  # where they stand alone they become part of the text around them
            source = re.sub(rf"(?<!{{){{{name}}}(?!}})", text, source)
        exec(compile(source, "<access-log-format>", "exec"), names)
        return cast(Write, names["write"])

    def source(self) -> str:
        """The function as Python, after the texts that it remembers by request line."""
        needed = self._needed()
        remembered: list[str] = []
        whole = "".join(_remembering(self.pieces, remembered))
        return "\n".join(
            (
                *(f'TEXT_{number} = Harmless(lambda line: f"""{text}""")' for number, text in enumerate(remembered)),
                "def write(served, duration_s, is_cut, writer, head):",
                "    try:",
                *(
                    f"        {statement}"
                    for statement in dict.fromkeys(GIVEN[name] for name in GIVEN if name in needed)
                ),
                f'        return f"""{whole}\\n"""',
                "    except UNFIT:",
                "        return write(tamed(served), duration_s, is_cut, writer, None)",
            )
        )

    def _needed(self) -> set[str]:
        """The given names that the expressions use, and those that these need in turn."""
        used, needed = _names("".join(self.pieces)), set[str]()
        for name, statement in reversed(GIVEN.items()):
            if name in used:
                needed.add(name)
                used |= _loaded(ast.parse(statement))
        return needed


def _names(inside: str) -> set[str]:
    """What is named inside an f-string."""
    return _loaded(ast.parse(f'f"""{inside}"""'))


def _loaded(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _remembering(pieces: Iterable[str], remembered: list[str]) -> Iterable[str]:
    """The pieces, each run of those that need the request line alone replaced by its text's; they are `remembered`."""
    for is_of_line, run in itertools.groupby(pieces, key=lambda piece: _names(piece) <= OF_LINE):
        text = "".join(run)
        if is_of_line and "line" in _names(text):
            yield f"{{TEXT_{len(remembered)}[line]}}"
            remembered.append(text)
        else:
            yield text


def check(text: str) -> None:
    """ValueError unless this is auto, the name of a format, or a format; it completes "NAME: ..."."""
    if text != AUTO:
        read(text)


def read(text: str) -> Layout:
    """The layout for a format, or its name."""
    if text == JSON:
        return Layout(tuple(_json()), "null")
    if "%" not in text:
        if text not in FORMATS:
            known = (AUTO, JSON, *FORMATS)
            near = difflib.get_close_matches(text, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"must be {', '.join(known)} or a format with atoms such as %(h)s, not {text!r}{meant}")
        text = FORMATS[text]
    if any(sign < " " and sign != "\t" for sign in text):
        raise ValueError(f"must be one line without control characters, not {text!r}")
    return Layout(tuple(_parts(text)), NOTHING)


def _parts(text: str) -> Iterable[str]:
    at = 0
    while (start := text.find("%", at)) >= 0:
        yield _literal(text[at:start])
        match = ATOM.match(text, start)
        if match is None:
            raise ValueError(f"unknown atom at {text[start : start + 16]!r}{_HINT}")
        at = match.end()
        yield "%" if match["percent"] else _in_text(_atom(match), match["width"] or "")
    yield _literal(text[at:])


def _literal(text: str) -> str:
    """Text that stands for itself inside an f-string in three quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("{", "{{").replace("}", "}}")


def _atom(match: re.Match[str]) -> Atom:
    """The atom that is meant; ValueError names one that there is not."""
    found: Atom | None
    if match["letter"] is None:
        if match["of"] is None:
            found = NAMED.get(match["name"])
        else:
            found = ANY_WORD[match["of"]](match["field"]) if match["of"] in "ioe" and match["field"] else None
    elif match["word"] is None:
        found = LETTERS.get(match["letter"])
    elif match["word"] and match["letter"] in ANY_WORD:
        found = ANY_WORD[match["letter"]](match["word"])
    else:
        found = WORDS.get(match["letter"], {}).get(match["word"])
    if found is None:
        raise ValueError(f"unknown atom {match[0]}{_HINT}")
    return found


_HINT: Final = (
    f"; there are %(NAME)s with {' '.join(NAMED)}, %({{NAME}}i)s, %({{NAME}}o)s, %({{NAME}}e)s, "
    f"and %LETTER with {' '.join(LETTERS)}, %{{NAME}}i, %{{NAME}}o, %{{NAME}}e, %{{FORMAT}}t; %% is a percent sign"
)


def _in_text(atom: Atom, width: str) -> str:
    """The atom inside the f-string; `width` as printf has it."""
    spec = f"!s:{'<' if width[0] == '-' else '>'}{width.lstrip('-')}" if width.strip("-") else ""
    if atom.kind is Kind.FIXED:
        return _literal(f"%{width}s" % escaped(atom.code))
    if atom.kind is Kind.MIXED:
        return f"{{f'{atom.code}'{spec}}}" if spec else str(atom.code)
    return f"{{{_WRAPS.get(atom.kind, '{}').format(atom.code)}{spec}}}"


def _json() -> Iterable[str]:
    yield _literal(JSON_HEAD)
    for key in JSON_KEYS:
        atom = NAMED[key]
        value = (
            str(atom.code) if atom.kind is Kind.MIXED else f"{{{_JSON_WRAPS.get(atom.kind, '{}').format(atom.code)}}}"
        )
        mark = '\\"' if atom.kind is Kind.SAFE or key in JSON_TEXTS else ""
        yield f"{_literal(f', {quote(key)}: ')}{mark}{value}{mark}"
    yield _literal("}")


_OPTIONAL: Final = "(nothing if (found := {}) is None else found)"
_WRAPS: Final = {Kind.TEXT: "ESCAPED[{}]", Kind.OPTIONAL: _OPTIONAL}
_JSON_WRAPS: Final = {Kind.TEXT: "QUOTED[{}]", Kind.OPTIONAL: _OPTIONAL}
