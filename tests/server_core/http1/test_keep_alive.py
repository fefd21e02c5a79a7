"""Whether a connection goes on: the rules as tables."""

from __future__ import annotations

import pytest

from server_core.http.message import CHUNKED
from server_core.http1.keep_alive import DISCARD_LIMIT, is_last_word, may_keep

NOTHING = {"half_closed": False, "announcing": False, "has_next": False, "body_left": 0, "awaits_continue": False}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, True),
        ({"has_next": True}, True),
        ({"half_closed": True}, False),
        ({"half_closed": True, "has_next": True}, True),
        ({"announcing": True}, False),
        ({"announcing": True, "has_next": True}, True),
        ({"announcing": True, "has_next": True, "body_left": 1}, False),
        ({"body_left": 1}, True),
        ({"body_left": DISCARD_LIMIT}, True),
        ({"body_left": DISCARD_LIMIT + 1}, False),
        ({"body_left": CHUNKED}, False),
        ({"body_left": 1, "awaits_continue": True}, False),
        ({"awaits_continue": True}, True),
        ({"half_closed": True, "has_next": True, "body_left": 1, "awaits_continue": True}, False),
        ({"half_closed": True, "announcing": True, "has_next": True}, True),
    ],
)
def test_what_may_go_on_behind_a_response(facts: dict[str, bool | int], expected: bool) -> None:
    assert may_keep(**{**NOTHING, **facts}) is expected  # type: ignore[arg-type]  # each of its own type


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("has_next", [True, False])
@pytest.mark.parametrize("body_left", [0, 1, CHUNKED])
def test_only_a_client_that_said_so_and_sends_nothing_more_has_said_its_last_word(
    keep_alive: bool, has_next: bool, body_left: int
) -> None:
    told = is_last_word(keep_alive=keep_alive, has_next=has_next, body_left=body_left)
    assert told is ((keep_alive, has_next, body_left) == (False, False, 0))
