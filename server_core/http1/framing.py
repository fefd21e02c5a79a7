"""How a request is framed, and whether its connection goes on: the strict rules of RFC 9110 and 9112. Pure.

The few fields that mean something here repeat: what sets of them came to is remembered, within bounds.
"""

from __future__ import annotations

import re
from typing import Final

from server_core.http.fields import REMEMBERED, REMEMBERED_BYTES, is_host
from server_core.http.grammar import TOKEN
from server_core.http.message import CHUNKED, Fields, Framing, RequestLine, RequestRejected

_TOKEN: Final = re.compile(TOKEN)

LENGTH_DIGITS: Final = 18
"""Digits of the largest body: an exabyte less one, which fits into 64 bits whoever counts."""

SPECIAL: Final = frozenset(
    (
        b"host",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"upgrade",
    )
)
"""Names of the fields that frame a message or steer its connection."""

Verdicts = dict[tuple[object, ...], Framing]
VERDICTS: Verdicts = {}
"""What sets of special fields came to, by version and fields; read directly where a call matters."""


def judge(line: RequestLine, special: Fields) -> Framing:
    """What a request's special fields come to; RequestRejected if they break a rule."""
    rules = _judge(line, special)
    if sum(len(value) for _, value in special) <= REMEMBERED_BYTES:
        if len(VERDICTS) >= REMEMBERED:
            VERDICTS.clear()
        VERDICTS[line.version, *special] = rules
    return rules


def _judge(line: RequestLine, special: Fields) -> Framing:
    values: dict[bytes, list[bytes]] = {}
    for name, value in special:
        values.setdefault(name, []).append(value)
    if any(b"_" in name for name in values):  # which is special only where the settings have it refused
        raise RequestRejected(400, "a field's name holds an underscore")
    hosts = values.get(b"host", [])
    if len(hosts) != 1 and (hosts or line.version == "1.1"):
        raise RequestRejected(400, "exactly one Host is required")
    if hosts and hosts[0] and not is_host(hosts[0]):  # empty says that the target has no host (RFC 9110 section 7.2)
        raise RequestRejected(400, "malformed Host")
    keep_alive = line.version == "1.1"
    if b"connection" in values:
        options = [option.strip(b" \t") for option in b",".join(values[b"connection"]).lower().split(b",")]
        keep_alive = b"close" not in options and (keep_alive or b"keep-alive" in options)
    expectations = values.get(b"expect", [])
    if any(value.lower() != b"100-continue" for value in expectations):
        raise RequestRejected(417, "only 100-continue can be expected")
    # RFC 9110 10.1.1: in an HTTP/1.0 request the expectation of 100-continue has to be ignored
    expects = bool(expectations) and line.version == "1.1"
    length = _framing(line, values.get(b"content-length", []), values.get(b"transfer-encoding", []))
    return Framing(length, keep_alive, expects, b", ".join(values.get(b"upgrade", [])))


def _framing(line: RequestLine, lengths: list[bytes], codings: list[bytes]) -> int:
    """How long the body is (RFC 9112 section 6.3), where every doubt is an error."""
    if codings:
        if lengths:
            raise RequestRejected(400, "Transfer-Encoding and Content-Length exclude each other")
        if line.version == "1.0":
            raise RequestRejected(400, "Transfer-Encoding is unknown to HTTP/1.0")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise _coding(codings)
        return CHUNKED
    if not lengths:
        return 0
    # Identical duplicates are refused too: RFC 9110 8.6 allows either, and only one reading is safe.
    if len(lengths) != 1 or not lengths[0].isdigit():
        raise RequestRejected(400, "malformed Content-Length")
    if len(lengths[0]) > LENGTH_DIGITS:
        raise RequestRejected(413, "Content-Length beyond every body")
    return int(lengths[0])


def _coding(fields: list[bytes]) -> RequestRejected:
    """What is wrong with transfer codings that are not chunked, once (RFC 9112 sections 6.1 and 6.3).

    Where chunked comes last, and once, a coding before it is one that we do not know; elsewhere the body has no end.
    """
    *others, last = [coding.strip(b" \t").lower() for coding in b",".join(fields).split(b",")]
    if last != b"chunked" or b"chunked" in others or not all(_TOKEN.match(coding) for coding in others):
        return RequestRejected(400, "the transfer coding chunked must come last, and once")
    return RequestRejected(501, "only the transfer coding chunked is served")
