"""Which ASGI message of a response is legal now. A table; http_exchange.py walks it.

A phase says which messages it takes, and which phase follows each. What `more_body`, `more_trailers` and, in the start,
`trailers` announce chooses between two. ASGI has an early hint between the start and the body; Starlette sends it
before the start, where it is as good. (https://asgi.readthedocs.io/en/latest/extensions.html)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

START, BODY = "http.response.start", "http.response.body"
HINT, TRAILERS = "http.response.early_hint", "http.response.trailers"
PATH, FILE = "http.response.pathsend", "http.response.zerocopysend"

Phase = dict[str, tuple["Phase", "Phase"]]
"""For each message that is legal now: the phase after it if more of its kind is to come, and the phase if not."""

COMPLETE: Final[Phase] = {}

POURING: Final[Phase] = {}
"""A file is being sent: whatever else went out now would stand in its middle. It lasts if the file's end never went."""

TRAILERS_DUE: Final[Phase] = {}
TRAILERS_DUE[TRAILERS] = TRAILERS_DUE, COMPLETE


def _phases(last: Phase) -> tuple[Phase, Phase]:
    """The phases while the body is awaited, and while it is under way; `last` is the one after it."""
    streaming: Phase = {}
    streaming[BODY] = streaming[FILE] = streaming, last
    streaming[HINT] = streaming, streaming  # legal, and too late: nothing goes out
    started: Phase = {}
    started[BODY] = started[FILE] = streaming, last
    started[PATH] = last, last  # ASGI: once, and never mixed with a body
    started[HINT] = started, started
    return started, streaming


AWAITING_BODY, STREAMING = _phases(COMPLETE)
AWAITING_BODY_THEN_TRAILERS, STREAMING_THEN_TRAILERS = _phases(TRAILERS_DUE)

AWAITING_START: Final[Phase] = {START: (AWAITING_BODY_THEN_TRAILERS, AWAITING_BODY)}
AWAITING_START[HINT] = AWAITING_START, AWAITING_START

PHASE_NAMES: Final = (
    (AWAITING_START, "has not started"),
    (AWAITING_BODY, "has started"),
    (STREAMING, "is under way"),
    (AWAITING_BODY_THEN_TRAILERS, "has started"),
    (STREAMING_THEN_TRAILERS, "is under way"),
    (TRAILERS_DUE, "is complete but for its trailers"),
    (POURING, "is in the middle of a file"),
    (COMPLETE, "is complete"),
)


class ResponseError(RuntimeError):
    """The application broke ASGI or HTTP in its response: its own fault, told to it at the await of send()."""


def required(message: Mapping[str, object], key: str) -> ResponseError:
    """What to raise for a message that lacks what it must hold. Names keys only: values may be secrets."""
    kind = message.get("type", "a message")
    held = ", ".join(str(known) for known in message) or "nothing"
    return ResponseError(f"send(): {kind} must hold {key!r}, and holds {held}")


def illegal(phase: Phase, kind: object) -> ResponseError:
    """What to raise for a message that the phase does not take."""
    described = next(text for known, text in PHASE_NAMES if known is phase)
    expected = " or ".join(phase) or "nothing more"
    return ResponseError(f"the response {described}: send() takes {expected} now, not {kind!r}")
