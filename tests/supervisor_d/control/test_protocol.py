"""Framing alone: bytes in, a request or a refusal out. The door's tests send the same through real sockets."""

from __future__ import annotations

import pytest

from supervisor_d.control.messages import Refused, Request, json_line, json_reply
from supervisor_d.control.protocol import REQUEST_LIMIT, ServerSide

POST = b"POST /v1/scale?a=1&b= HTTP/1.1\r\nHost: x\r\nAccept: text/html, application/x-ndjson;q=1\r\n"


def test_a_whole_request_is_read_with_its_query_and_body() -> None:
    request = ServerSide().receive(POST + b'Content-Length: 9\r\n\r\n{"by": 1}')
    assert request == Request("POST", "/v1/scale", {"a": "1", "b": ""}, {"by": 1}, wants_stream=True, host="x")


def test_a_request_without_a_body_holds_an_empty_object() -> None:
    assert ServerSide().receive(b"GET / HTTP/1.0\r\n\r\n") == Request("GET", "/")


def test_a_request_of_exactly_the_limit_is_read_and_one_byte_more_is_refused() -> None:
    def request(length: int) -> bytes:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        space = length - len(head % 1000)
        return head % space + b" " * space

    assert len(request(REQUEST_LIMIT)) == REQUEST_LIMIT
    assert ServerSide().receive(request(REQUEST_LIMIT)) is not None
    with pytest.raises(Refused) as caught:
        ServerSide().receive(request(REQUEST_LIMIT + 1))
    assert caught.value.status == 413


def test_what_follows_the_request_does_not_count() -> None:
    request = ServerSide().receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"y" * 3 * REQUEST_LIMIT)
    assert request is not None


def test_an_announced_body_that_is_too_large_is_refused_before_it_comes() -> None:
    with pytest.raises(Refused) as caught:
        ServerSide().receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n")
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    ],
)
def test_a_request_that_cannot_be_understood_is_refused(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        ServerSide().receive(data)
    assert caught.value.status == 400


def test_an_end_of_input_is_a_refusal_only_if_something_had_come() -> None:
    assert ServerSide().receive(b"") is None
    wire = ServerSide()
    assert wire.receive(b"GET / HT") is None
    with pytest.raises(Refused) as caught:
        wire.receive(b"")
    assert caught.value.status == 400


def test_a_refusal_can_be_answered_even_where_no_request_could_be_read() -> None:
    wire = ServerSide()
    with pytest.raises(Refused) as caught:
        wire.receive(b"\0\r\n\r\n")
    assert wire.reply(caught.value.as_reply()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_head_request_gets_no_body() -> None:
    wire = ServerSide()
    wire.receive(b"HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.reply(json_reply(405, {"error": "x"})).endswith(b"\r\n\r\n")


def test_a_stream_is_chunked_and_each_object_is_one_line() -> None:
    wire = ServerSide()
    wire.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"transfer-encoding: chunked" in wire.begin_stream(200).lower()
    line = json_line({"a": "b\nc"})
    assert line == b'{"a":"b\\nc"}\n'
    assert line in wire.line({"a": "b\nc"})
    assert wire.end_stream() == b"0\r\n\r\n"
