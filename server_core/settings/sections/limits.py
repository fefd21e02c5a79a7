"""How much of what a client may send, and how many may at once; sizes in bytes."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import BYTES, COUNT, at_least, option


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    limit_request_line: int = option(
        8190,
        kind=BYTES,
        section="limits",
        check=at_least(64),
        help="Longest request line; a longer one is answered 414.",
    )
    limit_request_fields: int = option(
        100,
        kind=COUNT,
        section="limits",
        check=at_least(1),
        help="Most header fields in a request; more are answered 431.",
    )
    limit_header_bytes: int = option(
        65536,
        kind=BYTES,
        section="limits",
        check=at_least(256),
        help="Largest request head; a larger one is answered 431.",
    )
    limit_body: int = option(
        0, kind=BYTES, section="limits", help="Largest request body; a larger one is answered 413. 0 is no limit."
    )
    limit_connections: int = option(
        0,
        kind=COUNT,
        section="limits",
        reloads=True,
        help="Most connections of one worker; who comes next waits to be accepted. 0 is what its descriptors allow.",
    )
    limit_concurrency: int = option(
        0,
        kind=COUNT,
        section="limits",
        help="Most HTTP requests in the application of one worker at once; more are answered 503. 0 is no limit.",
    )
