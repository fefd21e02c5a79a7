"""Where an HTTP/1.1 connection is between its accept and its end: what deadlines and eviction judge it by."""

from __future__ import annotations

from enum import Enum, auto


class Stage(Enum):
    """One of these at any time."""

    NEW = auto()
    """Not a byte has come."""
    HEAD = auto()
    """A request's head has begun, and is not complete."""
    REQUEST = auto()
    """A response is due."""
    DISCARDING = auto()
    """The response is complete, and the rest of its request's body is read for nothing."""
    IDLE = auto()
    """Kept alive: answered, and nothing of a next request has come."""
    PARTING = auto()
    """Half-closed, closing or lost."""


def stage(*, is_open: bool, is_busy: bool, is_in_body: bool, is_between_requests: bool, has_served: bool) -> Stage:
    """The stage of what is so; `has_served` is whether a head was read before."""
    if not is_open:
        return Stage.PARTING
    if is_busy:
        return Stage.REQUEST
    if is_in_body:
        return Stage.DISCARDING
    if not is_between_requests:
        return Stage.HEAD
    return Stage.IDLE if has_served else Stage.NEW
