"""How long what may take; durations in seconds."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import BYTES, SECONDS, at_least, off_or_at_least, option


@dataclass(frozen=True, kw_only=True)
class TimeoutSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    graceful_timeout: float = option(
        30.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0),
        help="Time a draining worker has to finish its requests and its lifespan before it is terminated.",
    )
    keep_alive: float = option(
        75.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0),
        help="How long an idle kept-alive connection stays open; keep it above the proxy's own (60 s is usual).",
    )
    header_timeout: float = option(
        10.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0.1),
        help="Time from the first byte of a request, or from accepting a connection, to the end of its headers.",
    )
    body_timeout: float = option(
        30.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0.1),
        help="Longest wait for the next bytes of a request body that the application is reading.",
    )
    body_min_rate: int = option(
        240,
        kind=BYTES,
        section="timeouts",
        help="Bytes a second at which a request body must come on the whole, once it was waited for as long as "
        "body-timeout and while nothing was answered; 0 is none.",
    )
    request_timeout: float = option(
        0.0,
        kind=SECONDS,
        section="timeouts",
        check=off_or_at_least(1),
        help="Longest time from a request's head to its response's end; then 504, or a reset; 0 is none.",
    )
    write_timeout: float = option(
        30.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0.1),
        help="Longest time a client may take no byte of a response that waits for it.",
    )
    disconnect_grace: float = option(
        0.5,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0),
        help="How long a response under way outlasts its client if the application does not listen; 0 is for ever.",
    )
    drain_spread: float = option(
        0.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0),
        help="Time over which a drain closes idle connections, WebSockets and push streams, one by one; at most "
        "half of graceful-timeout. 0 means 5 s, 0.6 s at a stop, or a third of graceful-timeout if that is less.",
    )
