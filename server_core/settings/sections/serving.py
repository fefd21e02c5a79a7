"""Parser, event loop, accepting, and what each response gets."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import SWITCH, choice, option
from server_core.settings.value_types import HEADER


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """A part of ServerSettings."""

    __slots__ = ()

    http: str = option(
        "auto",
        kind=choice("auto", "httptools", "h11"),
        section="server",
        help="HTTP/1.1 parser; auto is httptools where it can be imported, else h11.",
    )
    loop: str = option(
        "auto",
        kind=choice("auto", "uvloop", "asyncio"),
        section="server",
        help="Event loop; auto is uvloop where it can be imported, else asyncio.",
    )
    server_header: bool = option(
        True,
        kind=SWITCH,
        section="server",
        help="Send a Server header unless the application did.",
    )
    date_header: bool = option(
        True, kind=SWITCH, section="server", help="Send a Date header unless the application did."
    )
    header: tuple[str, ...] = option(
        (),
        kind=HEADER,
        section="server",
        repeatable=True,
        help="A header field (Name: value) for every response that the application did not give one of this name.",
    )
    fair_accept: bool = option(
        True,
        kind=SWITCH,
        section="server",
        help="A worker with more connections than another one leaves the next one to it, for 5 ms at most.",
    )
