"""The opening handshake: what is one, what is a broken one, what the answer says."""

from __future__ import annotations

import pytest

from server_core.asgi.response_states import ResponseError
from server_core.http.message import Head, RequestRejected
from server_core.http1.field_names import FieldNames
from server_core.http1.httptools_parser import HttptoolsHeaders
from server_core.http1.reader import H1Reader
from server_core.http1.request_line import RequestLines
from server_core.http1.response_head import Defaults
from server_core.settings.declaration import ServerSettings
from server_core.websocket.deflate import negotiate
from server_core.websocket.handshake import Offer, accept_of, acceptance, read_offer

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The pair of RFC 6455 section 1.3."""

GOOD = {
    "host": "x",
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY.decode(),
}


class Caught:
    """A sink that keeps the head."""

    head: Head | None = None

    def begin(self, head: Head) -> None:
        self.head = head

    def body(self, data: bytes) -> None:
        assert data

    def end(self) -> None:
        assert self.head is not None


DEFAULTS = Defaults(((b"date", b"date: now\r\n"), (b"server", b"server: us\r\n")))


def head_of(line: str, fields: dict[str, str], *, more: str = "") -> Head:
    """The head as the reader makes it."""
    caught, parser = Caught(), HttptoolsHeaders(FieldNames())
    reader = H1Reader(parser, RequestLines("", parser.knows), ServerSettings(), caught)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    reader.feed(f"{line}\r\n{lines}{more}\r\n".encode("latin-1"))
    assert caught.head is not None
    return caught.head


def offered(line: str = "GET /ws HTTP/1.1", *, more: str = "", **changes: str | None) -> Offer | None:
    """What is read from a good handshake with these fields changed; None takes one away."""
    fields = dict(GOOD)
    for name, value in changes.items():
        fields.pop(name.replace("_", "-"))
        if value is not None:
            fields[name.replace("_", "-")] = value
    return read_offer(head_of(line, fields, more=more))


def test_the_proof_is_the_one_of_the_standard() -> None:
    assert accept_of(KEY) == ACCEPT


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", "upgrade,close", "UPGRADE"])
@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_a_handshake_is_taken(connection: str, upgrade: str) -> None:
    offer = offered(connection=connection, upgrade=upgrade)
    assert offer == Offer(ACCEPT, [], [])


def test_subprotocols_and_extensions_are_read_in_their_order() -> None:
    more = (
        "sec-websocket-protocol: chat, ,super\r\nsec-websocket-protocol: v2.x\r\n"
        "sec-websocket-extensions: permessage-deflate\r\nsec-websocket-extensions: x; y=1\r\n"
    )
    offer = offered(more=more)
    assert offer is not None
    assert offer.subprotocols == ["chat", "super", "v2.x"]
    assert offer.extensions == [b"permessage-deflate", b"x; y=1"]


@pytest.mark.parametrize(
    ("line", "changes", "more"),
    [
        ("GET /ws HTTP/1.0", {}, ""),
        ("POST /ws HTTP/1.1", {}, ""),
        ("GET /ws HTTP/1.1", {"connection": "keep-alive"}, ""),
        ("GET /ws HTTP/1.1", {"connection": None}, ""),
        ("GET /ws HTTP/1.1", {"upgrade": "h2c"}, ""),
        ("GET /ws HTTP/1.1", {"upgrade": "websocket2"}, ""),
        ("GET /ws HTTP/1.1", {"upgrade": None}, ""),
        ("GET /ws HTTP/1.1", {}, "content-length: 3\r\n"),
        ("GET /ws HTTP/1.1", {}, "transfer-encoding: chunked\r\n"),
    ],
)
def test_what_is_no_handshake_is_left_to_http(line: str, changes: dict[str, str | None], more: str) -> None:
    assert offered(line, more=more, **changes) is None


@pytest.mark.parametrize(
    ("changes", "more", "status"),
    [
        ({"sec_websocket_version": "8"}, "", 426),
        ({"sec_websocket_version": "13, 8"}, "", 426),
        ({"sec_websocket_version": None}, "", 426),
        ({}, "sec-websocket-version: 13\r\n", 426),
        ({"sec_websocket_key": None}, "", 400),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25j"}, "", 400),
        ({"sec_websocket_key": "not base64 at all!!!!!=="}, "", 400),
        ({"sec_websocket_key": "\xe9GhlIHNhbXBsZSBub25jZQ=="}, "", 400),
        ({}, f"sec-websocket-key: {KEY.decode()}\r\n", 400),
        ({}, "sec-websocket-protocol: a b\r\n", 400),
    ],
)
def test_a_broken_handshake_is_refused(changes: dict[str, str | None], more: str, status: int) -> None:
    with pytest.raises(RequestRejected) as refused:
        offered(more=more, **changes)
    assert refused.value.status == status
    names = [name for name, _ in refused.value.fields]
    assert names == ([b"upgrade", b"sec-websocket-version"] if status == 426 else [])


def answer(offer: Offer, subprotocol: object = None, fields: object = (), extension: bytes | None = None) -> bytes:
    return acceptance(offer, subprotocol, extension, fields, DEFAULTS)  # type: ignore[arg-type]  # some of it wrong on purpose


def test_an_acceptance_says_what_was_agreed() -> None:
    offer = Offer(ACCEPT, ["chat", "super"], [])
    head = answer(offer, "super", [(b"x-a", b"1"), [b"Set-Cookie", b"b=2"]], b"permessage-deflate")
    assert head == (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + ACCEPT + b"\r\nsec-websocket-protocol: super\r\n"
        b"sec-websocket-extensions: permessage-deflate\r\nx-a: 1\r\nSet-Cookie: b=2\r\n"
        b"date: now\r\nserver: us\r\n\r\n"
    )


def test_an_empty_subprotocol_is_none() -> None:
    for offer in (Offer(ACCEPT, [], []), Offer(ACCEPT, ["chat"], [])):
        assert answer(offer, "") == answer(offer, None)
        assert b"sec-websocket-protocol" not in answer(offer, "")


def test_the_applications_date_and_server_win() -> None:
    head = answer(Offer(ACCEPT, [], []), None, [(b"Date", b"then"), (b"server", b"app")])
    assert b"Date: then\r\nserver: app\r\n\r\n" in head
    assert b"now" not in head
    assert b"us\r\n" not in head


@pytest.mark.parametrize(
    ("subprotocol", "fields"),
    [
        ("other", ()),
        (b"chat", ()),
        (None, [(b"x", b"a\r\nb: c")]),
        (None, [("x", "y")]),
        (None, [(b"a b", b"c")]),
        (None, [(b"Sec-WebSocket-Protocol", b"chat")]),
        (None, [(b"sec-websocket-accept", b"x")]),
        (None, [(b"connection", b"close")]),
        (None, [(b"content-length", b"0")]),
    ],
)
def test_an_acceptance_that_cannot_be_is_the_applications_error(subprotocol: object, fields: object) -> None:
    with pytest.raises(ResponseError):
        answer(Offer(ACCEPT, ["chat"], []), subprotocol, fields)


@pytest.mark.parametrize(
    ("offers", "agreed"),
    [
        ([], None),
        ([b"x-webkit-deflate-frame"], None),
        ([b"permessage-deflate"], b"permessage-deflate; server_max_window_bits=12"),
        (
            [b"permessage-deflate; client_max_window_bits"],
            b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            [b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        ([b"permessage-deflate; server_max_window_bits=10"], b"permessage-deflate; server_max_window_bits=10"),
        # zlib cannot do 8; nobody can do 7 or 16, or knows `colour`: the next offer is looked at
        ([b"permessage-deflate; server_max_window_bits=8"], None),
        ([b"permessage-deflate; server_max_window_bits=16"], None),
        ([b"permessage-deflate; colour=red"], None),
        (
            [b"permessage-deflate; server_max_window_bits=8, permessage-deflate"],
            b"permessage-deflate; server_max_window_bits=12",
        ),
        ([b"x", b"permessage-deflate"], b"permessage-deflate; server_max_window_bits=12"),
    ],
)
def test_compression_is_agreed_on_within_bounds(offers: list[bytes], agreed: bytes | None) -> None:
    found = negotiate(offers)
    assert (found[0] if found else None) == agreed


@pytest.mark.parametrize("value", [b"permessage-deflate; =", b'x; y="', b"a b"])
def test_malformed_extensions_are_refused(value: bytes) -> None:
    with pytest.raises(RequestRejected) as refused:
        negotiate([value])
    assert refused.value.status == 400
