"""The atoms of a log format: gunicorn's, Apache's and our own, each with the expression that reads it.

Theory.  An atom is an expression over a few names (`served`, `status`, `fields`; all are in format.GIVEN), and its kind
says what becomes of its value. TEXT may come from a client and is escaped, or quoted in JSON; SAFE is text that cannot
hold anything that would need it. SAFE and NUMBER are never missing; what may be is OPTIONAL, or TEXT: None is `-` in a
line and null in JSON. Two atoms of one letter may differ between gunicorn and Apache (%(L)s, %L): each has its table.

Expressions and not functions, because a line is written for every request: one function made of ten expressions takes
half the time of ten functions. What an operator writes gets into them as a literal only.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from server_core.access_log.escaping import NOTHING


class Kind(enum.Enum):
    TEXT = "text"
    SAFE = "safe"
    NUMBER = "number"
    """Also a number, or a truth, that is written already."""
    OPTIONAL = "optional"
    """A number or None."""
    MIXED = "mixed"
    """Not an expression but the inside of an f-string, as safe as SAFE; unquoted in JSON."""
    FIXED = "fixed"
    """Known when the format is read: the text itself, which may be None, in place of an expression."""


class Atom(NamedTuple):
    kind: Kind
    code: str | None


def text(code: str) -> Atom:
    return Atom(Kind.TEXT, code)


def safe(code: str) -> Atom:
    return Atom(Kind.SAFE, code)


def number(code: str) -> Atom:
    return Atom(Kind.NUMBER, code)


def optional(code: str) -> Atom:
    return Atom(Kind.OPTIONAL, code)


def mixed(code: str) -> Atom:
    return Atom(Kind.MIXED, code)


def fixed(found: str | None) -> Atom:
    return Atom(Kind.FIXED, found)


FIELD_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.1; another one no message can have."""


def request_field(name: str) -> Atom | None:
    return text(f"fields.get({name.lower().encode()!r})") if FIELD_NAME.fullmatch(name) else None


def response_field(name: str) -> Atom | None:
    return text(f"sent_fields.get({name.lower().encode()!r})") if FIELD_NAME.fullmatch(name) else None


def environment(name: str) -> Atom:
    return fixed(os.environ.get(name))


REFERER: Final = text("fields.get(b'referer')")
USER_AGENT: Final = text("fields.get(b'user-agent')")
CLIENT: Final = text("pair[0] if (pair := scope['client']) else None")
METHOD: Final = safe("line.method")
PATH: Final = text("line.scope.get('raw_path')")
PROTOCOL: Final = safe("PROTOCOLS[line.version]")
STATUS: Final = number("status")
BYTES: Final = number("size")
COMMON_BYTES: Final = safe("size or '-'")
SECONDS: Final = number("int(duration_s)")
MILLISECONDS: Final = number("int(duration_s * 1e3)")
MICROSECONDS: Final = number("int(duration_s * 1e6)")
DURATION: Final = mixed("{duration_s:.6f}")
REQUEST: Final = mixed("{line.method} {ESCAPED[line.target]} HTTP/{line.version}")
REQUEST_ID: Final = text("scope['state'].get('request_id') if 'state' in scope else None")
USER: Final = text("user(given) if (given := fields.get(b'authorization')) else None")
HOST: Final = text("host(line.authority or fields.get(b'host'))")
PID: Final = number("pid")
PORT: Final = text("port_of(scope['server'])")

NAMED: Final[Mapping[str, Atom]] = {
    # gunicorn's
    "h": CLIENT,
    "l": fixed(NOTHING),
    "u": USER,
    "t": safe("COMMON_TIMES[int(ended_at)]"),
    "r": REQUEST,
    "m": METHOD,
    "U": PATH,
    "q": text("line.scope.get('query_string', b'')"),
    "H": PROTOCOL,
    "s": STATUS,
    "B": BYTES,
    "b": COMMON_BYTES,
    "f": REFERER,
    "a": USER_AGENT,
    "T": SECONDS,
    "M": MILLISECONDS,
    "D": MICROSECONDS,
    "L": DURATION,
    "p": mixed("<{pid}>"),
    # uvicorn's
    "client_addr": text("address_of(scope['client'])"),
    "request_line": REQUEST,
    "full_path": text("line.target"),
    "http_version": safe("line.version"),
    "status_code": safe("status_phrase(status)"),
    # ours, which are the keys of a JSON line, too
    "timestamp": mixed("{UTC_TIMES[int(ended_at)]}{'%06d' % (ended_at % 1 * 1e6)}Z"),
    "local_time": mixed("{LOCAL_TIMES[int(ended_at)]}{'%06d' % (ended_at % 1 * 1e6)}"),
    "slot": number("slot"),
    "generation": number("generation"),
    "pid": PID,
    "type": text("scope['type']"),
    "client": CLIENT,
    "method": METHOD,
    "target": text("line.target"),
    "protocol": PROTOCOL,
    "status": STATUS,
    "bytes": BYTES,
    "duration_s": DURATION,
    "duration_ms": mixed("{duration_s * 1e3:.3f}"),
    "complete": number("'false' if is_cut else 'true'"),
    "request_id": REQUEST_ID,
    "referer": REFERER,
    "user_agent": USER_AGENT,
    "close_code": optional("(served.close_code if scope['type'] == 'websocket' else None)"),
}
"""What %(NAME)s can be."""

LETTERS: Final[Mapping[str, Atom]] = {
    "a": CLIENT,
    "A": text("host_of(scope['server'])"),
    "b": COMMON_BYTES,
    "B": BYTES,
    "D": MICROSECONDS,
    "h": CLIENT,
    "H": PROTOCOL,
    "l": fixed(NOTHING),
    "L": REQUEST_ID,
    "m": METHOD,
    "p": PORT,
    "P": PID,
    "q": text("marked(line.scope.get('query_string', b''))"),
    "r": REQUEST,
    "s": STATUS,
    "t": safe("COMMON_TIMES[int(ended_at - duration_s)]"),
    "T": SECONDS,
    "u": USER,
    "U": PATH,
    "v": HOST,
    "V": HOST,
    "X": safe("end"),
}
"""What %LETTER can be."""

INSTANTS: Final = {
    "sec": "int({})",
    "msec": "int({} * 1e3)",
    "usec": "int({} * 1e6)",
    "msec_frac": "'%03d' % ({} % 1 * 1e3)",
    "usec_frac": "'%06d' % ({} % 1 * 1e6)",
}
"""Apache's words for times, as expressions over an instant."""


TIME_PATTERN: Final = re.compile(r"[ !#-&(-\[\]-z|~]+")
"""Visible ASCII but what Python would have to escape: quotes, a backslash, braces."""


def time_as(pattern: str) -> Atom | None:
    """%{PATTERN}t: strftime's, or one of Apache's words; behind `end:` of the end, else of the begin."""
    which, colon, rest = pattern.partition(":")
    if not colon or which not in ("begin", "end"):
        which, rest = "begin", pattern
    instant = "ended_at" if which == "end" else "(ended_at - duration_s)"
    if rest in INSTANTS:
        return number(INSTANTS[rest].format(instant))
    return text(f"strftime({rest!r}, localtime({instant}))") if TIME_PATTERN.fullmatch(rest) else None


WORDS: Final[Mapping[str, Mapping[str, Atom]]] = {
    "p": {"canonical": PORT, "local": PORT, "remote": text("port_of(scope['client'])")},
    "P": {"pid": PID},
    "T": {"s": SECONDS, "ms": MILLISECONDS, "us": MICROSECONDS},
}
"""What %{WORD}LETTER can be where the words are few."""

ANY_WORD: Final[Mapping[str, Callable[[str], Atom | None]]] = {
    "i": request_field,
    "o": response_field,
    "e": environment,
    "t": time_as,
}
"""What %{NAME}LETTER is where any name will do, None if that one will not; the first three as %({NAME}LETTER)s, too."""
