"""The transcripts as data; requests.http explains their marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Expected:
    status: int
    body: bytes | None = None
    """None: any."""
    to_head: bool = False


@dataclass
class Case:
    group: str
    claim: str
    source: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    sent: bytes = b""
    later_s: float = 0.0
    responses: list[Expected] = field(default_factory=list)
    end: str = ""
    """open, close or cut."""


def unescape(text: str) -> bytes:
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def read_cases(text: str) -> list[Case]:
    """The cases of one file."""
    cases: list[Case] = []
    group = ""
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "##":
            group = rest
        elif mark == "===":
            cases.append(Case(group, rest))
        elif mark in ("=", "@", ">", "~", "<"):
            take(cases[-1], mark, rest)
        elif line and mark != "#":
            raise ValueError(f"no mark of a transcript: {line!r}")
    return cases


def take(case: Case, mark: str, text: str) -> None:
    if mark == "=":
        case.source = text
    elif mark == "@":
        name, _, value = text.partition("=")
        case.settings[name] = int(value) if value.isdigit() else value
    elif mark == ">":
        case.sent += unescape(text)
    elif mark == "~":
        case.later_s = float(text)
    elif text in ("open", "close", "cut"):
        case.end = text
    else:
        to_head = text.startswith("HEAD ")
        status, separator, body = text.removeprefix("HEAD ").partition(" ")
        case.responses.append(Expected(int(status), unescape(body) if separator else None, to_head))


def all_cases() -> list[Case]:
    """Every case, file by file."""
    return [case for path in sorted(FOLDER.glob("*.http")) for case in read_cases(path.read_text(encoding="utf-8"))]
