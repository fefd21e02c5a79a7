"""What is asked and answered at the control socket, as values; pure. As bytes: protocol.py.

Apart from it because a master makes its tables of these, and needs h11, 9 ms of its start, at the first connection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from server_core.records import dataclass
from supervisor_d.vocabulary import error_body

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"


class Refused(Exception):
    """A request that gets an error for an answer: `status` and one line that says what would be accepted."""

    def __init__(self, status: int, reason: str, *, allow: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.allow = allow

    def as_reply(self) -> Reply:
        return json_reply(self.status, error_body(self.reason), (("Allow", self.allow),) if self.allow else ())


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request; `body` is the JSON object it carried, empty if it carried nothing."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    wants_stream: bool = False
    host: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def json_line(body: Mapping[str, object]) -> bytes:
    """One object on one line; what JSON cannot say (an enum, a path) is said as text."""
    return json.dumps(body, default=str, separators=(",", ":")).encode() + b"\n"


def json_reply(status: int, body: Mapping[str, object], headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, json.dumps(body, default=str).encode() + b"\n", JSON, headers)
