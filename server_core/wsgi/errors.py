"""`wsgi.errors`: what an application writes there is in the log, with the request that it was written for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Final, TypeVar

from server_core.log import Log

TEXT_MAX: Final = 65536
"""Characters of one event: as much is kept until it is flushed. Chosen; no evidence."""


LOG: Final[ContextVar[Log | None]] = ContextVar("supervisor_d.log", default=None)
"""The log of the server that runs a request, for an application that is mounted: it is called by ASGI, which has no
place for it. Not in scope["extensions"], where it would be every application's to use."""

C = TypeVar("C")


class Errors:
    """A text stream; one event of the log for what is written between two flushes. For one thread at a time.

    `facts` says of a call what the log says of requests.
    """

    __slots__ = ("_call", "_facts", "_log", "_parts", "_size")

    def __init__(self, log: Log, call: C, facts: Callable[[C], dict[str, object]]) -> None:
        self._log = log
        self._call: object = call
        self._facts: Callable[..., dict[str, object]] = facts
        self._parts: list[str] = []
        self._size = 0

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors: a str must be written, not {type(text).__name__}")
        self._parts.append(text)
        self._size += len(text)
        if self._size >= TEXT_MAX:
            self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log what was written since the last flush."""
        if self._parts:
            text, self._parts, self._size = "".join(self._parts).rstrip("\n"), [], 0
            if text:
                self._log("request.error_written", **self._facts(self._call), text=text)
