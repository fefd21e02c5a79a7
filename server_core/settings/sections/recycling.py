"""When a worker asks to be replaced, and what a new one has to show first."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import COUNT, option
from server_core.settings.value_types import URL_PATH


@dataclass(frozen=True, kw_only=True)
class RecyclingSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    max_requests: int = option(
        0,
        kind=COUNT,
        section="recycling",
        help="Requests after which a worker asks to be replaced; 0 is never.",
    )
    max_requests_jitter: int = option(
        0,
        kind=COUNT,
        section="recycling",
        help="Up to this many are added to max-requests, so that workers do not recycle together.",
    )
    health_path: str = option(
        "",
        kind=URL_PATH,
        section="reload",
        help="Path that a new worker must answer with 2xx or 3xx, inside the worker, before it takes connections.",
    )
