"""The deadlines of HTTP/1.1: what is due of a connection, by its stage and the times that it has waited.

Every stage has one. A connection is closed where no answer is due, and gets an answer where one is. The values come
from the server's sweep (sweep.py), which also does what is due.

A trickle makes progress for ever, so that a body has a rate to keep, too (body-min-rate). Only the time in which the
application waited for the client counts: a slow application is not the client's fault. Once a response has begun the
rate does not matter any more: then both may be streams that last, and silence alone is judged.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from server_core.http1.stages import Stage
from server_core.settings.declaration import ServerSettings


class Due(Enum):
    """What is to be done."""

    NOTHING = auto()
    CLOSE = auto()
    CLOSE_IF_IDLE = auto()
    HALF_CLOSE = auto()
    REFUSE_HEAD = auto()
    REFUSE_SILENT_BODY = auto()
    REFUSE_SLOW_BODY = auto()
    EXPIRE = auto()


class BodyWait(NamedTuple):
    """How a body comes that is waited for."""

    silent_s: float
    """Since its last byte, or since it is waited for."""
    waited_s: float
    """How long it was waited for in all."""
    size: int
    """Bytes that have come."""
    has_rate: bool = True
    """Whether it must keep body-min-rate."""


def due(
    stage: Stage, since_s: float, settings: ServerSettings, *, request_s: float = 0.0, body: BodyWait | None = None
) -> Due:
    """What is due of a connection that has been in its stage for `since_s`.

    `request_s` is how long its request has taken so far, `body` None if no body is waited for.
    """
    match stage:
        case Stage.REQUEST:
            if settings.request_timeout and request_s > settings.request_timeout:
                return Due.EXPIRE
            return Due.NOTHING if body is None else _due_of_body(body, settings)
        case Stage.DISCARDING:
            is_over = body is not None and _due_of_body(body, settings) is not Due.NOTHING
            return Due.HALF_CLOSE if is_over else Due.NOTHING
        case Stage.HEAD:
            return Due.REFUSE_HEAD if since_s > settings.header_timeout else Due.NOTHING
        case Stage.NEW:
            return Due.CLOSE if since_s > settings.header_timeout else Due.NOTHING
        case Stage.IDLE:
            return Due.CLOSE_IF_IDLE if since_s > settings.keep_alive else Due.NOTHING
        case Stage.PARTING:
            return Due.NOTHING  # transport/closing.py has the end of it


def _due_of_body(body: BodyWait, settings: ServerSettings) -> Due:
    rate = settings.body_min_rate if body.has_rate else 0
    if body.silent_s > settings.body_timeout:
        return Due.REFUSE_SILENT_BODY
    if rate and body.waited_s > settings.body_timeout + body.size / rate:
        return Due.REFUSE_SLOW_BODY
    return Due.NOTHING
