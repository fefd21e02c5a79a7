"""Bytes to a request and a reply to bytes, for one connection of the control socket; pure.

HTTP/1.1 because every language and curl speak it; h11 does the framing, so nothing here parses HTTP. One request per
connection: the server side says `Connection: close` and whatever follows the request is not looked at.

A reply is either one JSON (or text) body, or a stream of JSON lines (`application/x-ndjson`, chunked), of which each
is one object. The HTTP status of a stream is sent before its end is known, so the line that is the final answer says
its own: every answer in a stream carries "status".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import h11

from supervisor_d.control.messages import NDJSON, Refused, Reply, Request, json_line

REQUEST_LIMIT: Final = 8192
"""Bytes of a whole request, head and body. Ours are below 300; chosen as nginx' and Tomcat's default head size."""

PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class ServerSide:
    """The server's end of one connection. After receive has given a request or raised Refused, reply once."""

    def __init__(self) -> None:
        # h11's own limit is on one event and checked between reads; the one on all bytes is kept in receive().
        self._wire = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_LIMIT)
        self._received = 0
        self._head: h11.Request | None = None
        self._body = bytearray()

    def receive(self, data: bytes) -> Request | None:
        """The request once it is whole. Raises Refused; empty data means that the client sends no more."""
        within = data[: REQUEST_LIMIT - self._received]
        self._received += len(data)
        request = None
        if within or not data:  # to h11, nothing would mean the end
            try:
                self._wire.receive_data(within)
                request = self._next_request()
            except h11.RemoteProtocolError as error:
                raise Refused(error.error_status_hint, f"not an HTTP request: {error}") from None
        if request is None and self._received > REQUEST_LIMIT:
            raise too_large(413 if self._head is not None else 431)
        return request

    def _next_request(self) -> Request | None:
        while True:
            event = self._wire.next_event()
            if isinstance(event, h11.Request):
                self._head = event
                if content_length(event) > REQUEST_LIMIT:
                    raise too_large(413)
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert self._head is not None  # h11 gives no end without a head
                return parsed(self._head, bytes(self._body))
            else:  # NEED_DATA, PAUSED, ConnectionClosed: no request in what has come so far
                return None

    def interim(self) -> bytes:
        """The bytes that let a client go on that waits before it sends its body, if one does (RFC 9110 10.1.1)."""
        if not self._wire.they_are_waiting_for_100_continue:
            return b""
        return self._wire.send(h11.InformationalResponse(status_code=100, headers=[])) or b""

    def reply(self, reply: Reply) -> bytes:
        """The whole answer."""
        length = str(len(reply.body))
        head = self._begin(reply.status, reply.content_type, (("Content-Length", length), *reply.headers))
        if self._head is not None and self._head.method == b"HEAD":
            return head  # RFC 9110 9.3.2: no body, even in a refusal
        return head + self._send(h11.Data(data=reply.body)) + self._send(h11.EndOfMessage())

    def begin_stream(self, status: int) -> bytes:
        return self._begin(status, NDJSON, ())

    def line(self, body: Mapping[str, object]) -> bytes:
        """One object of a stream."""
        return self._send(h11.Data(data=json_line(body)))

    def end_stream(self) -> bytes:
        return self._send(h11.EndOfMessage())

    def _begin(self, status: int, content_type: str, headers: tuple[tuple[str, str], ...]) -> bytes:
        all_headers = [("Content-Type", content_type), ("Connection", "close"), *headers]
        return self._send(h11.Response(status_code=status, headers=all_headers, reason=PHRASES.get(status, "")))

    def _send(self, event: h11.Event) -> bytes:
        return self._wire.send(event) or b""


def too_large(status: int) -> Refused:
    return Refused(status, f"a request must be at most {REQUEST_LIMIT} bytes, head and body")


def content_length(head: h11.Request) -> int:
    """What the head announces; h11 has made sure that it is one number."""
    return next((int(value) for name, value in head.headers if name == b"content-length"), 0)


def parsed(head: h11.Request, body: bytes) -> Request:
    """The request from its head and body; Refused if its target or its body cannot be read."""
    path, _, query_text = head.target.decode("latin-1").partition("?")
    if not path.startswith("/"):
        raise Refused(400, f"the request's target must be a path such as /v1/status, not {path[:80]!r}")
    try:
        query = dict(parse_qsl(query_text, keep_blank_values=True, strict_parsing=bool(query_text)))
    except ValueError:
        raise Refused(400, f"the query must be NAME=VALUE pairs joined by &, not {query_text[:80]!r}") from None
    accepted = b",".join(value for name, value in head.headers if name == b"accept")
    wants_stream = any(part.partition(b";")[0].strip().lower() == NDJSON.encode() for part in accepted.split(b","))
    host = next((value.decode("latin-1") for name, value in head.headers if name == b"host"), "")
    return Request(head.method.decode("ascii"), path, query, json_object(body), wants_stream, host)


def json_object(body: bytes) -> Mapping[str, object]:
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:  # RecursionError: a kilobyte of "[" is enough for it
        raise Refused(400, f"the body must be a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise Refused(400, f"the body must be a JSON object, not {body[:40].decode('utf-8', 'replace')!r}")
    return value
