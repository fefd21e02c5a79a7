"""A response as PEP 3333 has it made: start_response(), write(), the iterable and its close(). No I/O.

The head leaves with the first part of the body that is not empty, or with the end: until then it may be replaced, and
an error is a 500 of the server's. Where the length is known the part that completes it ends the response, so that the
client and its next request do not wait for what an application does afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from server_core.asgi.file_range import FilePart
from server_core.asgi.response_states import ResponseError
from server_core.http.fields import StatusText
from server_core.runtime.forked_child import AT_RETURN
from server_core.wsgi.file_wrapper import FileWrapper
from server_core.wsgi.types import Environ, ErrorInfo, Fields, Write, WsgiApplication

REMEMBERED: Final = 1024
"""Heads that are remembered as they came, each checked and encoded. As many as the server remembers of others."""
REMEMBERED_BYTES: Final = 1024


OF_THE_CONNECTION: Final = frozenset({b"keep-alive", b"proxy-connection"})
"""Fields that say how long the connection is kept, which is the server's to say: hop-by-hop (RFC 2616 13.5.1), so that
PEP 3333 forbids them to applications. They are left out, as gunicorn does. `Upgrade` stays: a 426 must have it."""


class ResponseHead:
    """A status and fields, as the server takes them. Shared, and never changed."""

    __slots__ = ("fields", "length", "status", "text")

    def __init__(self, status: int, text: StatusText, fields: tuple[tuple[bytes, bytes], ...], length: int) -> None:
        self.status = status
        self.text = text
        """The status with its reason phrase."""
        self.fields = fields
        self.length = length
        """The content-length; -1 if there is none, or it is none of the body that follows (204, 304)."""


class Outlet(Protocol):
    """Where a response goes."""

    def emit_file(self, head: ResponseHead, part: FilePart) -> None:
        """Send a file as the whole body; it is owned from now on. ClientDisconnected as emit()."""

    def emit(self, head: ResponseHead | None, data: bytes, more: bool) -> None:
        """Send a part of the body, with the head if it is the first; wait until there is room for the next one.

        ResponseError if it may not go out, ClientDisconnected if there is no client any more.
        """


_SEEN: dict[tuple[object, ...], ResponseHead] = {}


def head_of(status: object, headers: Fields) -> ResponseHead:
    """What start_response() was given, checked as far as it is not the writer's affair; ResponseError."""
    try:
        key = (status, *headers)
        known = _SEEN.get(key)
    except TypeError as error:  # pairs that are lists, or nothing that could be iterated over
        if not isinstance(headers, Iterable):
            raise ResponseError(f"headers: must be pairs of str, not {type(headers).__name__}") from error
        return _checked(status, list(headers))
    if known is not None:
        return known
    head = _checked(status, list(headers))
    _remember(key, head)
    return head


def _remember(key: tuple[object, ...], head: ResponseHead) -> None:
    if sum(len(name) + len(value) for name, value in head.fields) <= REMEMBERED_BYTES:
        if len(_SEEN) >= REMEMBERED:
            _SEEN.clear()
        _SEEN[key] = head


def _checked(status: object, headers: list[tuple[str, str]]) -> ResponseHead:
    if not isinstance(status, str):
        raise ResponseError(f"status: must be a str such as '200 OK', not {type(status).__name__}")
    try:
        text = StatusText.of(status)
    except ValueError as error:
        raise ResponseError(str(error)) from None
    given = (encoded(pair) for pair in headers)
    fields = tuple(field for field in given if field[0].lower() not in OF_THE_CONNECTION)
    code = int(text[:3])
    lengths = [value for name, value in fields if name.lower() == b"content-length" and value.isdigit()]
    return ResponseHead(code, text, fields, int(lengths[0]) if lengths and code not in (204, 304) else -1)


def encoded(pair: object) -> tuple[bytes, bytes]:
    """A field as the server takes it; ResponseError."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ResponseError(f"headers: each must be a pair of str, not {type(pair).__name__}")
    name, value = pair
    if not isinstance(name, str) or not isinstance(value, str):
        raise ResponseError(
            f"headers: names and values must be str, not {type(name).__name__} and {type(value).__name__}"
        )
    try:
        return name.encode("latin-1"), value.encode("latin-1")
    except UnicodeEncodeError as error:
        # PEP 3333, "Unicode Issues": strings hold only code points that Latin-1 can represent
        raise ResponseError(
            f"headers: the value of {name!a} holds a character that is not in Latin-1, at {error.start}"
        ) from None


class Response:
    """The response to one request, from start_response() to close()."""

    __slots__ = ("_has_left", "_head", "_is_complete", "_left", "_outlet")

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._head: ResponseHead | None = None
        self._has_left = self._is_complete = False
        self._left = -1
        """Bytes that the content-length promises beyond those that have left; -1 without one."""

    def start(self, status: str, headers: Fields, exc_info: ErrorInfo | None = None, /) -> Write:
        """start_response(): a second call needs exc_info, which is raised if the head has left."""
        if exc_info is not None:
            try:
                if self._has_left:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback holds this frame (PEP 3333)
        elif self._head is not None:
            raise ResponseError("start_response() was called again without exc_info, which PEP 3333 does not allow")
        self._head = head_of(status, headers)
        return self.write

    def write(self, data: bytes, /) -> None:
        """The callable that start_response() returns."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        if data:
            self._part(data)

    def run(self, app: WsgiApplication, environ: Environ) -> None:
        """Call the application, and send what it gives; its iterable is closed in any case."""
        iterable: Iterable[bytes] = ()
        try:
            iterable = app(environ, self.start)
            if AT_RETURN:  # this is a child that the application has forked: the request is its parent's
                AT_RETURN[0]()
            if type(iterable) is list or type(iterable) is tuple:
                self._end(iterable[0] if len(iterable) == 1 else _joined(iterable))
            elif type(iterable) is FileWrapper and self._sends_file(iterable):
                pass
            else:
                for part in iterable:
                    if type(part) is not bytes:
                        part = _as_bytes(part)
                    # Empty parts say that there is nothing yet (PEP 3333, "Middleware Handling of Block Boundaries")
                    if part:
                        self._part(part)
                self._end(b"")
        finally:
            if AT_RETURN:  # it raised, or its iterable has ended
                AT_RETURN[0]()
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _sends_file(self, file: FileWrapper) -> bool:
        """Leave a file's way out to the outlet; False if it has to be read, or is not the whole body."""
        if self._has_left:
            return False
        head = self._started()
        part = file.part(head.length)
        if part is None:
            return False
        self._is_complete = True
        self._outlet.emit_file(head, part)
        self._has_left = True
        return True

    def _part(self, data: bytes) -> None:
        if AT_RETURN:
            AT_RETURN[0]()
        if self._is_complete:
            raise ResponseError(f"the body is longer than its content-length by {len(data)} bytes")
        head = None
        left = self._left
        if not self._has_left:
            head = self._started()
            left = head.length
        more = True
        if left >= 0:
            left -= len(data)
            more = left != 0  # below 0 it is for the writer to say so
        self._left = left
        if not more:
            self._is_complete = True
        self._outlet.emit(head, data, more)
        self._has_left = True

    def _end(self, data: bytes) -> None:
        """Send the last part, whose end is the body's."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        if self._is_complete:
            if data:
                raise ResponseError(f"the body is longer than its content-length by {len(data)} bytes")
            return
        head = None if self._has_left else self._started()
        self._is_complete = True
        self._outlet.emit(head, data, False)
        self._has_left = True

    def _started(self) -> ResponseHead:
        if self._head is None:
            raise ResponseError("the application gave its response before it called start_response()")
        return self._head


def _joined(parts: Iterable[bytes]) -> bytes:
    """A list's parts as one: all are there already, so their length is, too."""
    return b"".join(part if type(part) is bytes else _as_bytes(part) for part in parts)


def _as_bytes(data: object) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ResponseError(f"the body's parts must be bytes, not {type(data).__name__}")
    return bytes(data)
