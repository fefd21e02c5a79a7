"""The rules of requests once more, as slow and plain as they can be told: what the readers are compared with.

Nothing of the server is used here. It goes through the bytes one by one and stops at the first fault, so that what it
says cannot depend on segments, on what a parser does, or on what was remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import unquote

TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
VCHAR = frozenset(range(0x21, 0x7F))
TEXT = VCHAR | frozenset(b" \t") | frozenset(range(0x80, 0x100))
CHUNK_LINE = 4096
METHOD = 128
CR, LF = 0x0D, 0x0A


class Fault(Exception):
    """The answer's status is its only argument."""


class Waiting(Exception):
    """The bytes end in the middle of a request."""


@dataclass
class Limits:
    line: int = 8190
    head: int = 65536
    fields: int = 100
    body: int = 1 << 62


@dataclass
class Request:
    method: bytes
    path: str
    query: bytes
    version: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    is_complete: bool = False


@dataclass
class Story:
    """What comes of a stream of bytes."""

    requests: list[Request] = field(default_factory=list)
    end: int | str = "open"
    """The status of a refusal, `open`, or `close` where nothing more is read."""


class Bytes:
    """A stream, and where its reader is."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def line(self, limit: int, status: int) -> bytes:
        """A line without its CRLF; Fault(400) at a bare CR or LF, Fault(status) where it is longer than the limit."""
        begin, after_cr = self.at, False
        while self.at < len(self.data):
            byte = self.data[self.at]
            self.at += 1
            if after_cr != (byte == LF):
                raise Fault(400)
            if byte == LF:
                return self.data[begin : self.at - 2]
            if self.at - begin == limit + 2:
                raise Fault(status)
            after_cr = byte == CR
        raise Waiting

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        self.at += len(part)
        return part


def read(data: bytes, limits: Limits) -> Story:
    """What comes of these bytes, if they are all that comes."""
    story, stream = Story(), Bytes(data)
    try:
        while story.end == "open":
            request, length, keep_alive = head(stream, limits)
            if (length or 0) > limits.body:
                raise Fault(413)
            story.requests.append(request)
            if length is None:
                chunked(stream, request, limits)
            else:
                request.body = stream.take(length)
                if len(request.body) < length:
                    raise Waiting
            request.is_complete = True
            story.end = "open" if keep_alive else "close"
    except Fault as fault:
        story.end = int(str(fault))
    except Waiting:
        pass
    return story


def head(stream: Bytes, limits: Limits) -> tuple[Request, int | None, bool]:
    """A request without its body, the body's length (None: chunked), and whether another request may follow."""
    while stream.data.startswith(b"\r\n", stream.at):
        stream.at += 2
    first = stream.data[stream.at : stream.at + 1]
    if first and first != b"\r" and first[0] not in TCHAR:
        raise Fault(400)
    lines = head_lines(stream, limits)
    method, path, query, version, authority = request_line(lines[0])
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or set(name) - TCHAR or set(value) - TEXT:
            raise Fault(400)
        fields.append((name.lower(), value.strip(b" \t")))
    if len(fields) > limits.fields:
        raise Fault(431)
    length, keep_alive = meaning(version, fields)
    if authority is not None:
        fields = [(b"host", authority), *(pair for pair in fields if pair[0] != b"host")]
    return Request(method, path, query, version, fields), length, keep_alive


def head_lines(stream: Bytes, limits: Limits) -> list[bytes]:
    """The lines of a head, up to its first fault."""
    lines: list[bytes] = []
    begin = line_begin = stream.at
    after_cr = False
    while stream.at < len(stream.data):
        byte = stream.data[stream.at]
        stream.at += 1
        if not lines and not after_cr and byte != CR and stream.at - begin > limits.line:
            raise Fault(414)
        if after_cr != (byte == LF):
            raise Fault(400)
        if not lines and stream.at - begin == METHOD + 1 and not set(stream.data[begin : stream.at]) - TCHAR:
            raise Fault(501)
        if byte == LF:
            lines.append(stream.data[line_begin : stream.at - 2])
            line_begin = stream.at
            if len(lines) == 1:
                request_line(lines[0])
        if stream.at - begin > limits.head:
            raise Fault(431)
        if byte == LF and not lines[-1]:
            return lines[:-1]
        after_cr = byte == CR
    raise Waiting


def request_line(line: bytes) -> tuple[bytes, str, bytes, bytes, bytes | None]:
    """Method, path, query, version, and the authority of an absolute form."""
    parts = line.split(b" ")
    if len(parts) != 3 or not parts[0] or set(parts[0]) - TCHAR or not re.fullmatch(rb"HTTP/\d\.\d", parts[2]):
        raise Fault(400)
    method, target, version = parts
    if not target or set(target) - VCHAR or b"#" in target:
        raise Fault(400)
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise Fault(505)
    if method == b"CONNECT" or len(method) > METHOD:
        raise Fault(501)
    authority = None
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in (b"http", b"https"):
        end = min((rest.index(mark) for mark in (b"/", b"?") if mark in rest), default=len(rest))
        authority, target = rest[:end], rest[end:]
        if not authority or not is_host(authority):
            raise Fault(400)
        target = target if target.startswith(b"/") else b"/" + target
    elif not target.startswith(b"/") and (target, method) != (b"*", b"OPTIONS"):
        raise Fault(400)
    path, _, query = target.partition(b"?")
    return method, unquote(path.decode()), query, version[5:], authority


def is_host(value: bytes) -> bool:
    text = value.decode("latin-1")
    host, colon, port = (
        text.rpartition(":") if re.search(r":[0-9]*$", text) and not text.endswith("]") else (text, "", "")
    )
    if colon and port and (len(port) > 255 or int(port) > 65535):
        return False
    if re.fullmatch(r"\[v[0-9a-f]+\.[a-z0-9\-._~!$&'()*+,;=:]+\]", host, re.IGNORECASE | re.ASCII):
        return True
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            return False
        return host.endswith("]") and "%" not in host
    return re.fullmatch(r"([A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f][0-9A-Fa-f])+", host) is not None


def meaning(version: bytes, fields: list[tuple[bytes, bytes]]) -> tuple[int | None, bool]:
    """The body's length, None where chunks tell it, and whether the connection is kept."""

    def values(name: bytes) -> list[bytes]:
        return [value for known, value in fields if known == name]

    hosts = values(b"host")
    if len(hosts) > 1 or (not hosts and version == b"1.1") or (hosts and hosts[0] and not is_host(hosts[0])):
        raise Fault(400)
    if any(value.lower() != b"100-continue" for value in values(b"expect")):
        raise Fault(417)
    options = [option.strip(b" \t").lower() for value in values(b"connection") for option in value.split(b",")]
    keep_alive = b"close" not in options and (version == b"1.1" or b"keep-alive" in options)
    lengths, codings = values(b"content-length"), values(b"transfer-encoding")
    if codings:
        names = [name.strip(b" \t").lower() for value in codings for name in value.split(b",")]
        if lengths or version == b"1.0" or names[-1] != b"chunked" or names.count(b"chunked") > 1:
            raise Fault(400)
        if len(names) > 1:
            raise Fault(501 if all(name and name[0] in TCHAR for name in names) else 400)
        return None, keep_alive
    if len(lengths) > 1 or any(not length or set(length) - set(b"0123456789") for length in lengths):
        raise Fault(400)
    if lengths and len(lengths[0]) > 18:
        raise Fault(413)
    return int(lengths[0]) if lengths else 0, keep_alive


def chunked(stream: Bytes, request: Request, limits: Limits) -> None:
    """A chunked body, and what is around it; extensions and trailers have a limit each."""
    left = limits.head
    while True:
        line = stream.line(CHUNK_LINE, 400)
        digits = re.match(rb"[0-9A-Fa-f]+", line)
        if digits is None or not are_extensions(line[digits.end() :]):
            raise Fault(400)
        if len(digits[0]) > 15:
            raise Fault(413)
        left -= len(line) - digits.end()
        if left < 0:
            raise Fault(400)
        size = int(digits[0], 16)
        if len(request.body) + size > limits.body:
            raise Fault(413)
        if size == 0:
            break
        request.body += (part := stream.take(size))
        if len(part) < size:
            raise Waiting
        if stream.data[stream.at : stream.at + 1] not in (b"", b"\r") or stream.line(0, 400):
            raise Fault(400)
    left = limits.head
    while line := stream.line(left, 431):
        name, colon, value = line.partition(b":")
        if not colon or not name or set(name) - TCHAR or set(value) - TEXT:
            raise Fault(400)
        left -= len(line) + 2
        if left < 0:
            raise Fault(431)


def are_extensions(text: bytes) -> bool:
    """Whether this is any number of ;name, ;name=token or ;name="quoted", with white space between the parts."""
    rest = text
    while rest:
        rest = rest.lstrip(b" \t")
        if not rest.startswith(b";"):
            return False
        name, rest = token(rest[1:].lstrip(b" \t"))
        if not name:
            return False
        after = rest.lstrip(b" \t")
        if after.startswith(b"="):
            value, rest = word(after[1:].lstrip(b" \t"))
            if not value:
                return False
    return True


def token(text: bytes) -> tuple[bytes, bytes]:
    """A token from the beginning, maybe empty, and what is behind it."""
    end = next((at for at, byte in enumerate(text) if byte not in TCHAR), len(text))
    return text[:end], text[end:]


def word(text: bytes) -> tuple[bytes, bytes]:
    """A token or a quoted string from the beginning, empty if there is none, and what is behind it."""
    if not text.startswith(b'"'):
        return token(text)
    at = 1
    while at < len(text) and text[at] in TEXT:
        if text[at : at + 1] == b'"':
            return text[: at + 1], text[at + 1 :]
        if text[at : at + 1] == b"\\":
            at += 1
            if text[at : at + 1] == b"" or text[at] not in TEXT:
                break
        at += 1
    return b"", text
