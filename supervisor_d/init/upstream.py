"""What a front end has to know of the daemon behind it, from the daemon's own settings. Pure.

Each front end (nginx, HAProxy, Caddy) writes the same facts in its own words. The security is here: of the fields
that can tell who asks, the front end sets those that the daemon believes, and removes the others. None is appended to:
the front end is the outermost proxy, so what a client says of itself is never of use, and where every peer is believed
(`forwarded-allow-ips *`) the leftmost address of a list counts, which the client would have written.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server_core.proxy.trusted_peers import parse_trusted
from server_core.settings.declaration import ServerSettings
from supervisor_d.errors import ConfigurationError
from supervisor_d.init.plan import Plan
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.values.address import TcpAddress, UnixAddress, parse_address

Server = TcpAddress | UnixAddress

REQUEST_ID: Final = "X-Request-ID"
"""The field that names a request where `request-id` is off: applications look for it, so that a client must not."""

IDLE_SHARE: Final = 0.8
"""Of keep-alive: how long the front end keeps an idle connection. It closes first, or a request could meet the
daemon's close; 75 s come to nginx's usual 60 s. Chosen."""

SILENCE_S: Final = 75
"""Longest silence of the daemon where its settings name no bound. Precedent: nginx waits for 60 s, and a client of
supervisor-d for as long as keep-alive."""
TUNNEL_S: Final = 3600
"""Longest silence of a WebSocket where nothing pings. Chosen."""
MARGIN_S: Final = 5

LOCAL: Final = {"localhost": "127.0.0.1"}
"""Where a name's address is known without asking."""

PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9 /._+@~:,=-]+")
"""Paths that every front end can be given as one word, in double quotes where there is a space in them."""
PLAIN_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class Says(enum.Enum):
    """What a field tells the daemon of a request."""

    CLIENT = "x-forwarded-for"
    SCHEME = "x-forwarded-proto"
    HOST = "x-forwarded-host"
    PORT = "x-forwarded-port"
    ALL = "forwarded"
    ID = "request-id"


@dataclass(frozen=True, slots=True)
class Upstream:
    """The daemon as a front end meets it; `fields` are to be set, by their names, and those in `cleared` removed."""

    servers: tuple[Server, ...]
    tls: str
    """The oldest version of TLS that the daemon speaks; empty where it speaks plain HTTP."""
    prefix: str
    """What the front end takes off each path (root-path)."""
    idle_ms: int
    """How long an idle connection is kept; 0 is not at all."""
    silence_s: int
    tunnel_s: int
    body_bytes: int
    head_bytes: int
    fields: tuple[tuple[str, Says], ...]
    cleared: tuple[str, ...]
    keeps_underscores: bool
    group: str
    """The group that may connect to the Unix socket, if it is known; empty where it does not matter."""
    doubts: tuple[str, ...]
    """What keeps the front end from being believed, or from connecting, as far as the settings tell."""

    @property
    def idle(self) -> str:
        """As nginx and Caddy write it."""
        return duration(self.idle_ms)


def duration(milliseconds: int) -> str:
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


@dataclass(frozen=True, slots=True)
class Front:
    """A front end: its name, and what only the place knows where it and the daemon are to run."""

    name: str
    group: str = ""
    """Its group, where that was said; else the settings' own is taken to be it."""
    allowed: str | None = None
    """The peers that the daemon believes there; None: as it is set."""


def upstream_of(settings: Settings, servers: Sequence[Server], front: Front) -> Upstream:
    """The daemon for this front end.

    Raises ConfigurationError, with the setting's name, for what cannot be had behind one that speaks HTTP.
    """
    server = settings.server
    refuse_client_certificates(server, front.name)
    refuse_odd_words(server, servers, front.name)
    sent = fields_of(server)
    return Upstream(
        servers=tuple(servers),
        tls=server.ssl_min_version if server.ssl_certfile else "",
        prefix=server.root_path,
        idle_ms=int(server.keep_alive * IDLE_SHARE * 1000),
        silence_s=silence_s(server),
        tunnel_s=tunnel_s(server),
        body_bytes=server.limit_body,
        head_bytes=max(server.limit_header_bytes, server.limit_request_line),
        fields=sent,
        cleared=cleared_beside([name for name, _ in sent], server),
        keeps_underscores=server.underscore_headers != "drop",
        group=group_of(settings, servers, front),
        doubts=tuple(doubts_of(settings, servers, front)),
    )


def of_plan(plan: Plan, front: Front) -> Upstream:
    """The plan's daemon before a front end on the same machine that speaks HTTP. Raises ConfigurationError."""
    refuse_proxy_protocol(plan.settings.server, front.name)
    return upstream_of(plan.settings, servers_of(plan.settings.daemon.bind, front.name, plan.directory), front)


def fields_of(server: ServerSettings) -> tuple[tuple[str, Says], ...]:
    """The fields that the front end sets: those that the daemon believes, and the request's id."""
    believed = [] if server.forwarded_headers == "off" else server.forwarded_headers.split(",")
    identity = REQUEST_ID if server.request_id == "off" else server.request_id
    return (*((name.title(), Says(name)) for name in believed), (identity, Says.ID))


def cleared_beside(names: Sequence[str], server: ServerSettings) -> tuple[str, ...]:
    """The fields of that kind that are removed: those that are not set, and what frameworks take for any of them."""
    known = list(dict.fromkeys([*(says.value.title() for says in Says if says is not Says.ID), REQUEST_ID, *names]))
    lower = [name.lower() for name in names]
    cleared = [name for name in known if name.lower() not in lower]
    if server.underscore_headers == "keep":
        cleared += [odd for name in known for odd in spellings(name)]
    return tuple(cleared)


def spellings(name: str) -> list[str]:
    """The name with _ for one or more of its -: the same to CGI, WSGI and Django."""
    parts = name.split("-")
    joints = itertools.product("-_", repeat=len(parts) - 1)
    found = ("".join(itertools.chain(*itertools.zip_longest(parts, joint, fillvalue=""))) for joint in joints)
    return [odd for odd in found if odd != name]


def silence_s(server: ServerSettings) -> int:
    """How long the daemon may say nothing before it is given up."""
    return max(SILENCE_S, seconds(server.request_timeout + MARGIN_S if server.request_timeout else 0))


def tunnel_s(server: ServerSettings) -> int:
    """How long a WebSocket may be silent: the daemon pings, unless that is off."""
    return seconds(2 * server.ws_ping_interval + MARGIN_S) if server.ws_ping_interval else TUNNEL_S


def seconds(value: float) -> int:
    return int(-(-value // 1))


def is_for_all(settings: Settings) -> bool:
    """Whether every user may connect to the Unix sockets; connect(2) needs the right to write (unix(7))."""
    return bool(settings.daemon.unix_mode & 0o002)


def group_of(settings: Settings, servers: Sequence[Server], front: Front) -> str:
    """Whose members may connect to the daemon's Unix sockets, if that is a matter of the group."""
    return "" if is_for_all(settings) or not any(map(is_unix, servers)) else front.group or settings.daemon.group


def doubts_of(settings: Settings, servers: Sequence[Server], front: Front) -> list[str]:
    """What the operator has to see to, in sentences."""
    server, daemon, found = settings.server, settings.daemon, []
    trusted = parse_trusted(server.forwarded_allow_ips if front.allowed is None else front.allowed)
    for address in servers:
        host = "unix" if isinstance(address, UnixAddress) else LOCAL.get(address.host, address.host)
        if server.forwarded_headers != "off" and not trusted.trusts(None if host == "unix" else (host, 0)):
            who = host if host == "unix" or is_numeric(host) else f"the address of {front.name}"
            found.append(f"supervisor-d believes none of these fields until --forwarded-allow-ips names {who}.")
    if any(map(is_unix, servers)) and not is_for_all(settings) and not group_of(settings, servers, front):
        mode = f"unix-mode {daemon.unix_mode:04o}"
        found.append(f"{front.name}'s user must be in the Unix socket's group ({mode}), which --front-group names.")
    return list(dict.fromkeys(found))


def refuse_client_certificates(server: ServerSettings, front: str) -> None:
    if server.ssl_cert_reqs != "none":
        raise ConfigurationError(
            f"ssl-cert-reqs: must be none behind {front}, which cannot show its clients' certificates to supervisor-d, "
            f"not {server.ssl_cert_reqs}; have {front} ask for them"
        )


def refuse_odd_words(server: ServerSettings, servers: Sequence[Server], front: str) -> None:
    for address in servers:
        if isinstance(address, UnixAddress) and not PLAIN_PATH.fullmatch(address.path):
            raise ConfigurationError(
                "bind: must be a path of letters, digits, blanks and any of /._+@~:,=- to be written in "
                f"{front}'s file, not {address}"
            )
    if not PLAIN_PREFIX.fullmatch(server.root_path):
        raise ConfigurationError(
            f"root-path: must be of letters, digits and any of /._~- to be written in {front}'s file, "
            f"not {server.root_path!r}"
        )


def refuse_proxy_protocol(server: ServerSettings, front: str) -> None:
    """For a front end that cannot send PROXY headers to an upstream that speaks HTTP."""
    if server.proxy_protocol:
        raise ConfigurationError(
            f"proxy-protocol: must be off behind this {front}, which sends no PROXY header with HTTP; "
            "`supervisor-d init haproxy` prints a front end that does"
        )


def servers_of(bind: Sequence[str], front: str, directory: str) -> list[Server]:
    """Where a front end on the same machine connects to; ConfigurationError where there is nothing.

    `directory` is what relative paths of sockets are relative to.
    """
    found: list[Server] = []
    for address in map(parse_address, bind):
        if isinstance(address, UnixAddress) and not address.is_abstract:
            path = address.path if address.path.startswith("/") else f"{directory.rstrip('/')}/{address.path}"
            found.append(UnixAddress(path))
        elif isinstance(address, TcpAddress) and address.port and "%" not in address.host:
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
            found.append(TcpAddress(host, address.port))
    if not found:
        raise ConfigurationError(
            f"bind: must have a port, or a Unix socket's path, that {front} can connect to, not {', '.join(bind)}"
        )
    return found


def is_numeric(host: str) -> bool:
    return ":" in host or not host.strip("0123456789.")


def is_unix(address: Server) -> bool:
    return isinstance(address, UnixAddress)


def words_of(*lines: str, indent: str) -> str:
    """Lines of a file, each with its indentation; nothing where there are none."""
    return "".join(f"{indent}{line}\n" for line in lines)
