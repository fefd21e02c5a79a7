"""Offers of extensions are answered as the websockets library answers them, which is in no worker for this."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from server_core.http.message import RequestRejected
from server_core.websocket.extension_offers import NAME, Agreement, agree

BITS = 12
THEIRS = ServerPerMessageDeflateFactory(server_max_window_bits=BITS, client_max_window_bits=BITS)


def as_websockets_does(value: bytes) -> Agreement | str | None:
    try:
        offered = parse_extension(value.decode("latin-1"))
    except InvalidHeader:
        return "malformed"
    for name, parameters in offered:
        if name == THEIRS.name:
            try:
                answer, agreed = THEIRS.process_request_params(parameters, ())
            except NegotiationError:
                continue
            return Agreement(
                build_extension([(THEIRS.name, answer)]).encode("ascii"),
                agreed.remote_max_window_bits,
                agreed.local_max_window_bits,
                agreed.remote_no_context_takeover,
                agreed.local_no_context_takeover,
            )
    return None


def as_we_do(value: bytes) -> Agreement | str | None:
    try:
        return agree([value], BITS)
    except RequestRejected:
        return "malformed"


PIECES = [
    *(NAME, "x-other", "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits"),
    *(
        "client_max_window_bits",
        "unknown",
        "=",
        ";",
        ",",
        " ",
        "\t",
        '"',
        "\\",
        "0",
        "1",
        "8",
        "9",
        "10",
        "12",
        "15",
        "16",
    ),
    *('"10"', '"1\\0"', '"a b"', '"', "; ", ", ", "é", "\x00", "\n", "=10", "=true", "(", "/"),
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=14).map(lambda pieces: "".join(pieces).strip("\t ").encode("latin-1"))
)
def test_any_sequence_of_pieces_is_answered_alike(value: bytes) -> None:
    assert as_we_do(value) == as_websockets_does(value)


PARAMETERS = st.lists(
    st.tuples(
        st.sampled_from(PIECES[2:7]), st.sampled_from(["", "=8", "=9", "=11", "=15", '="10"', "=08", "=x", "=", "=1 0"])
    ).map("".join),
    max_size=4,
)
OFFERS = st.lists(
    st.tuples(st.sampled_from([NAME, NAME, NAME, "x-other", NAME.upper()]), PARAMETERS).map(
        lambda offer: "; ".join([offer[0], *offer[1]])
    ),
    min_size=1,
    max_size=3,
).map(", ".join)


@given(OFFERS)
def test_any_offer_is_answered_alike(value: str) -> None:
    assert as_we_do(value.encode()) == as_websockets_does(value.encode())


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (b"permessage-deflate", b"permessage-deflate; server_max_window_bits=12"),
        (
            b"permessage-deflate; client_max_window_bits",
            b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            b"permessage-deflate; server_max_window_bits=8, permessage-deflate; client_no_context_takeover",
            b"permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
        ),
    ],
)
def test_what_browsers_offer_is_met(value: bytes, answer: bytes) -> None:
    agreed = agree([value], BITS)
    assert agreed is not None
    assert agreed.answer == answer


def test_of_several_fields_each_must_be_well_formed() -> None:
    with pytest.raises(RequestRejected, match="malformed"):
        agree([b"permessage-deflate", b"a b"], BITS)
    assert agree([], BITS) is None
