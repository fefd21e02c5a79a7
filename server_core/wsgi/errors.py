"""`wsgi.errors`: what an application writes there is in the log, with the request that it was written for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from server_core.asgi.call import Call
from server_core.log import Log

TEXT_MAX: Final = 65536
"""Characters of one event: as much is kept until it is flushed. Chosen; no evidence."""


class Errors:
    """A text stream; one event of the log for what is written between two flushes. For one thread at a time.

    `facts` says of a call what the log says of requests.
    """

    __slots__ = ("_call", "_facts", "_log", "_parts", "_size")

    def __init__(self, log: Log, call: Call, facts: Callable[[Call], dict[str, object]]) -> None:
        self._log = log
        self._call = call
        self._facts = facts
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
