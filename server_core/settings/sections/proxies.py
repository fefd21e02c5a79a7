"""Which proxies stand in front, and what they are believed."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import SWITCH, choice, option
from server_core.settings.value_types import FORWARDED, PEERS, REQUEST_ID


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """A part of ServerSettings."""

    __slots__ = ()

    forwarded_allow_ips: str = option(
        "127.0.0.1,::1",
        kind=PEERS,
        section="proxies",
        environment=("FORWARDED_ALLOW_IPS",),
        help="Peers whose forwarded-headers are believed: addresses, networks, 'unix' or *.",
    )
    forwarded_headers: str = option(
        "x-forwarded-for,x-forwarded-proto",
        kind=FORWARDED,
        section="proxies",
        help="Which fields those peers set themselves, so that they are believed: x-forwarded-for, -proto, -host and "
        "-port, or forwarded; or off.",
    )
    proxy_protocol: bool = option(
        False,
        kind=SWITCH,
        section="proxies",
        help="Every connection begins with a PROXY header, version 1 or 2, that tells the client's address.",
    )
    proxy_allow_ips: str = option(
        "127.0.0.1,::1",
        kind=PEERS,
        section="proxies",
        help="Peers that may send PROXY headers, and so connect at all: addresses, networks, 'unix' or *.",
    )
    request_id: str = option(
        "off",
        kind=REQUEST_ID,
        section="proxies",
        help="Header (such as X-Request-ID) that names each request: taken from those peers or made, told to the "
        "application, the client and the logs; or off.",
    )
    underscore_headers: str = option(
        "drop",
        kind=choice("drop", "refuse", "keep"),
        section="proxies",
        help="Request fields with _ in their names, which frameworks take for -: left out, answered 400, or handed on.",
    )
