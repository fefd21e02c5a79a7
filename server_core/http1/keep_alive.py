"""Whether a connection is kept open for a next request: rules, of what is known when a response begins or ends."""

from __future__ import annotations

from typing import Final

from server_core.http.message import CHUNKED

DISCARD_LIMIT: Final = 1 << 20
"""Bytes of a request body that are read for nothing to keep the connection. A client that writes all of it before it
reads pays more for a new connection at every size: of 64 KiB 143 us of the server's CPU against 35, of 1 MiB 683
against 291, of 16 MiB 7,143 against 5,918. One that stops when it is told saves us the rest, so that closing pays from
0.4 MiB on, without a client's round trips and TLS (python -m tests.bench.early_answer; 2 shared cores, CPython 3.11.7,
uvloop). Between the two, and above what most forms send."""


def may_keep(*, half_closed: bool, announcing: bool, has_next: bool, body_left: int, awaits_continue: bool) -> bool:
    """Whether a connection whose client would keep it may go on behind the response that begins now.

    half_closed      the client's FIN was read
    announcing       clients are to move to another worker
    has_next         bytes of a next request have come, read or unread
    body_left        bytes of this request's body that are still to come, 0 for none, or CHUNKED
    awaits_continue  the client may wait for 100 Continue, which it was not sent
    """
    if half_closed and not has_next:
        return False
    if body_left and not may_discard(body_left, awaits_continue=awaits_continue):
        return False
    # A next request that has come already must be answered, and behind an announced close it could not be
    return not announcing or (has_next and not body_left)


def may_discard(body_left: int, *, awaits_continue: bool) -> bool:
    """Whether the rest of a body may be read for nothing, if the application does not read it.

    Decided when the head goes out, which says it: what it promises is kept, and the rest of a chunked body, as long as
    its end has not come, may be anything. An application that answers while it reads a long body can go on reading.
    """
    if awaits_continue:
        return False  # RFC 9110 10.1.1: the client may send the body or not, so the next bytes mean nothing
    return body_left != CHUNKED and body_left <= DISCARD_LIMIT


def is_last_word(*, keep_alive: bool, has_next: bool, body_left: int) -> bool:
    """Whether the client said that it would send nothing more, and kept to it: no reset can come of a close.

    `keep_alive` is whether its request left the connection open, `has_next` counts only what was read.
    """
    return not (keep_alive or has_next or body_left)
