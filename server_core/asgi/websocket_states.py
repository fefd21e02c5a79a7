"""Which ASGI message is legal now, and what it must hold. Tables, and the code that walks them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Final

from server_core.asgi.response_states import COMPLETE, ResponseError

ACCEPT, SEND, CLOSE = "websocket.accept", "websocket.send", "websocket.close"
DENY, DENY_BODY = "websocket.http.response.start", "websocket.http.response.body"

CONNECTING: Final = {ACCEPT: True, CLOSE: True, DENY: True}
OPEN: Final = {SEND: True, CLOSE: True}
DENYING: Final = {DENY_BODY: True}
"""The phases of a session, with COMPLETE: the messages that each takes."""

PHASE_NAMES: Final = (
    (CONNECTING, "is not accepted yet"),
    (OPEN, "is open"),
    (DENYING, "is being denied"),
    (COMPLETE, "is closed"),
)

NORMAL, ABNORMAL, INTERNAL_ERROR = 1000, 1006, 1011

SENDABLE: Final = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
"""Codes that may stand in a close frame (RFC 6455 section 7.4 and IANA's registry); 1004 to 1006 and 1015 must not.
Ranges, because a set of them takes 190 KiB of each worker (CPython 3.11), and connections close once."""

REASON_BYTES: Final = 123
"""A control frame holds 125 bytes (RFC 6455 section 5.5), and the code takes two."""

FORBIDDEN: Final = 403
DENIAL: Final = b"Forbidden\n"


def is_sendable(code: int) -> bool:
    return any(code in codes for codes in SENDABLE)


def illegal(phase: Mapping[str, object], kind: object) -> ResponseError:
    """What to raise for a message that the phase does not take."""
    described = next(text for known, text in PHASE_NAMES if known is phase)
    expected = " or ".join(phase) or "nothing more"
    return ResponseError(f"the WebSocket {described}: send() takes {expected} now, not {kind!r}")


def content(message: MutableMapping[str, object]) -> bytes | str:
    """What a websocket.send sends."""
    data, text = message.get("bytes"), message.get("text")
    if type(data) is bytes and text is None:
        return data
    if type(text) is str and data is None:
        return text
    if (data is None) == (text is None):
        raise ResponseError("websocket.send: must hold either bytes or text")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(text, str):
        return str(text)
    raise ResponseError(
        f"websocket.send: bytes must be bytes and text a str, not {type(data if text is None else text).__name__}"
    )


def code_and_reason(message: MutableMapping[str, object]) -> tuple[int, str]:
    """How a websocket.close closes an accepted WebSocket; ResponseError if no close frame can hold its code.

    The code is what the peer acts on: a wrong one is the application's fault, here as on its other servers. The reason
    is for people (RFC 6455 section 7.1.6), so that one that is no text (FastAPI's validation gives a list) is written
    as text and a long one cut, rather than the whole close being turned into 1011.
    """
    code, reason = message.get("code", NORMAL), message.get("reason") or ""
    code = NORMAL if code is None else code
    if not isinstance(code, int) or not is_sendable(code):
        raise ResponseError(f"code: must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, not {code!r}")
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    whole = text.encode("utf-8", "replace")  # a lone surrogate has no UTF-8
    return int(code), whole[:REASON_BYTES].decode("utf-8", "ignore")
