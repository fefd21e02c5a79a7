"""What one line of the access log is made from: a request that has ended, and what only its end tells. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from server_core.http.message import RequestLine

CUT, CLOSED, KEPT = "X", "-", "+"
"""How a request ended, in Apache's signs for %X: before its response was complete, with its connection, without."""

NEVER_ANSWERED: Final = 499
"""Status of a request whose client left before there was one; nginx's number (ngx_http_request.h)."""

SECONDS_KEPT: Final = 64
"""Texts of seconds that are kept. Chosen: requests that end now began in one of a few seconds."""

UNREAD: Final = RequestLine("-", "-", "-", {}, {})
"""Stands for the request line of a request that was refused, and had none that was well-formed."""

PROTOCOLS: Final = {f"{major}.{minor}": f"HTTP/{major}.{minor}" for major in range(10) for minor in range(10)}
"""By version: all that a request line can name, because a refused one is told as it came."""
PROTOCOLS[UNREAD.version] = UNREAD.version


class Place(NamedTuple):
    """Which worker writes; None without a supervisor."""

    slot: int | None
    generation: int | None
    pid: int


class Served(Protocol):
    """An exchange, a session, or what stands for one that never was."""

    @property
    def line(self) -> RequestLine: ...

    @property
    def scope(self) -> Mapping[str, object]: ...

    @property
    def status(self) -> int: ...

    @property
    def sent_bytes(self) -> int: ...

    @property
    def close_code(self) -> int | None: ...


class Timed(Served, Protocol):
    """An exchange or a session."""

    started_at: float
    status: int
    sent_bytes: int


class SentHead(Protocol):
    """What wrote a response."""

    close: bool
    """Whether it was its connection's last."""

    @property
    def noted(self) -> tuple[object, ...]:
        """The fields of its head, if they are kept."""


class Unread(NamedTuple):
    """A request that was refused before it was read."""

    scope: Mapping[str, object]
    status: int
    sent_bytes: int
    line: RequestLine = UNREAD
    close_code: None = None


class Seconds(dict[int, str]):
    """Texts of seconds: most lines of one second share it."""

    def __init__(self, render: Callable[[int], str]) -> None:
        super().__init__()
        self._render = render

    def __missing__(self, second: int) -> str:
        if len(self) >= SECONDS_KEPT:
            self.clear()
        text = self[second] = self._render(second)
        return text


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _common(second: int) -> str:
    """As the Common Log Format has it, whatever the locale."""
    at = time.localtime(second)
    return time.strftime(f"[%d/{_MONTHS[at.tm_mon - 1]}/%Y:%H:%M:%S %z]", at)


COMMON_TIMES: Final = Seconds(_common)
UTC_TIMES: Final = Seconds(lambda second: time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)))
LOCAL_TIMES: Final = Seconds(lambda second: time.strftime("%Y-%m-%dT%H:%M:%S.", time.localtime(second)))
