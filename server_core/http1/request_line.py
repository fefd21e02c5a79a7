"""What a request head must be, whichever parser reads it: the strict rules of RFC 9110 and 9112.

A parser only says that a head is well-formed. Whether it may be served is said here, once, for all of them: each
laxity of one parser, and each difference between two, is a place where a proxy in front and this server could
disagree about where a request ends.

Request lines repeat: what was checked is remembered, within bounds. What fields say is in framing.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

from server_core.asgi.extensions import EXTENSIONS, NOTHING
from server_core.asgi.scope import template
from server_core.http.fields import REMEMBERED, REMEMBERED_BYTES, is_host
from server_core.http.grammar import TOKEN
from server_core.http.message import RequestLine, RequestRejected

_TOKEN: Final = re.compile(TOKEN)
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e]+")  # visible ASCII but #: a fragment is never sent (RFC 9110 4.2.5)
_ABSOLUTE: Final = re.compile(rb"https?://([^/?@]+)([/?].*)?", re.IGNORECASE)
_FIRST_BYTE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_LONE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")

METHOD_BYTES: Final = 128
"""Longest method that is served, whichever it is. RFC 9112 section 3: a server that "receives a method longer than any
that it implements SHOULD respond with a 501". Chosen: the longest registered one has 17 (UPDATEREDIRECTREF)."""
_LONG_METHOD: Final = re.compile(rb"[!#$%%&'*+\-.^_`|~0-9A-Za-z]{%d}" % (METHOD_BYTES + 1))


class RequestLines:
    """Request lines, checked and taken apart; one for all the connections of a server.

    `extensions` are what the server offers besides those of a response.
    """

    def __init__(
        self,
        root_path: str,
        knows: Callable[[bytes], bool],
        extensions: Mapping[str, object] = NOTHING,
        *,
        has_state: bool = False,
    ) -> None:
        self._template = template(root_path, has_state=has_state)
        self._extensions = {version: {**known, **extensions} for version, known in EXTENSIONS.items()}
        self._root_path = root_path
        self._knows = knows
        self.seen: dict[bytes, RequestLine] = {}
        """What get() would find at once; read directly where a call matters."""

    def get(self, line: bytes) -> RequestLine:
        """The parts of a line without its CRLF; RequestRejected if it is none that may be served."""
        known = self.seen.get(line)
        if known is not None:
            return known
        parsed = self._parse(line)
        if len(line) <= REMEMBERED_BYTES:
            if len(self.seen) >= REMEMBERED:
                self.seen.clear()
            self.seen[line] = parsed
        return parsed

    def glance(self, head: bytes) -> RequestLine | None:
        """The line that a refused head begins with, whether or not it may be served; None if it is not well-formed."""
        line, end, _ = head.partition(b"\r\n")
        try:
            method, target, version = _take_apart(line if end else b"")
        except RequestRejected:
            return None
        raw_path, _, query_string = target.partition(b"?")
        scope: dict[str, object] = {"raw_path": raw_path, "query_string": query_string}
        name, number = method.decode("ascii"), version[5:].decode("ascii")
        return RequestLine(name, number, target.decode("ascii"), scope, {})

    def _parse(self, line: bytes) -> RequestLine:
        method, target, version = _take_apart(line)
        if version not in self._extensions:
            raise RequestRejected(505, "only HTTP/1.0 and HTTP/1.1 are served")
        if method == b"CONNECT":
            raise RequestRejected(501, "CONNECT is not served")
        if len(method) > METHOD_BYTES:
            raise method_too_long()
        origin, authority = self._resolve(method, target)
        raw_path, _, query_string = origin.partition(b"?")
        text = raw_path.decode("ascii")
        decoded = unquote(text) if "%" in text else text
        # ASGI, HTTP connection scope: root_path is where the application is mounted, and path is the whole path, so
        # that it begins with root_path; a proxy that uses root_path has taken the prefix off. raw_path is as it came.
        path = self._root_path + decoded if raw_path != b"*" else decoded
        scope: dict[str, object] = {
            **self._template,
            "method": method.decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query_string,
            "http_version": version[5:].decode("ascii"),
        }
        return RequestLine(
            method.decode("ascii"),
            version[5:].decode("ascii"),
            target.decode("ascii"),
            scope,
            self._extensions[version],
            authority=authority,
            is_known=self._knows(method),
        )

    def _resolve(self, method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
        """Path with query, and the authority of an absolute form (RFC 9112 section 3.2)."""
        if target.startswith(b"/"):
            return target, None
        if target == b"*" and method == b"OPTIONS":
            return target, None
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not is_host(absolute[1]):
            raise RequestRejected(400, "malformed request target")
        path = absolute[2] or b"/"
        return path if path.startswith(b"/") else b"/" + path, absolute[1]


def _take_apart(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and version of a well-formed line; RequestRejected if it is none."""
    parts = line.split(b" ")
    if len(parts) != 3 or _TOKEN.fullmatch(parts[0]) is None:
        raise RequestRejected(400, "malformed request line")
    method, target, version = parts
    if _VERSION.fullmatch(version) is None:
        raise RequestRejected(400, "malformed request line")
    if _TARGET.fullmatch(target) is None:
        raise RequestRejected(400, "malformed request target")
    return method, target, version


def method_too_long() -> RequestRejected:
    return RequestRejected(501, f"no method of more than {METHOD_BYTES} bytes is served")


def first_fault(
    data: bytes, scanned: int, lines: RequestLines, line_limit: int, head_limit: int
) -> RequestRejected | None:
    """The first place in the beginning of a head that its rest cannot mend, and what is wrong there.

    First in the order of the bytes, so that an answer does not depend on how they were cut into segments. Up to
    `scanned` nothing was wrong when the head was shorter: a head that comes byte by byte costs no more than one scan.
    """
    faults: list[tuple[int, RequestRejected]] = []
    line_end = data.find(b"\r")
    if (line_end if line_end >= 0 else len(data)) > line_limit:
        faults.append((line_limit + 1, RequestRejected(414, "request line too long")))
    elif line_end >= scanned and data.startswith(b"\r\n", line_end):
        try:
            lines.get(data[:line_end])
        except RequestRejected as refused:
            faults.append((line_end + 2, refused))
    if data and _FIRST_BYTE.match(data) is None:
        faults.append((1, RequestRejected(400, "malformed request line")))
    if scanned <= METHOD_BYTES and _LONG_METHOD.match(data) is not None:
        faults.append((METHOD_BYTES + 1, method_too_long()))
    if lone := _LONE.search(data, max(0, scanned - 1)):
        faults.append((lone.end() + (lone[0] == b"\r"), RequestRejected(400, "malformed line ends")))
    if len(data) > head_limit:
        faults.append((head_limit + 1, RequestRejected(431, "request head too large")))
    return min(faults, key=lambda fault: fault[0])[1] if faults else None
