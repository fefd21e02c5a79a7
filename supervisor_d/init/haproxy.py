"""The daemon's upstream as a haproxy.cfg: HTTP, or bytes behind a PROXY header. Pure."""

from __future__ import annotations

from typing import Final

from server_core.proxy.trusted_peers import parse_trusted
from server_core.settings.declaration import ServerSettings
from supervisor_d.errors import ConfigurationError
from supervisor_d.init.plan import Plan
from supervisor_d.init.upstream import (
    LOCAL,
    TUNNEL_S,
    Front,
    Says,
    Server,
    Upstream,
    servers_of,
    upstream_of,
    words_of,
)
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.values.address import TcpAddress, UnixAddress

HTTP: Final = """\
# Printed by `supervisor-d init haproxy`; a whole haproxy.cfg, of HAProxy 2.4 or later.
global
    maxconn 4096
    log stdout format raw local0
{buffer}{user}
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 75s
    timeout server {silence}s
    timeout http-keep-alive 60s
    # A WebSocket, or any upgraded connection, may be silent for so long.
    timeout tunnel {tunnel}s

frontend web
    bind :80
    # Set whatever the client sent, or removed: a field that HAProxy hands on is the client's own word.
{fields}{prefix}    default_backend app

backend app
    {reuse}
    # A connection that was refused, or that closed before it answered anything, is tried once more: only for requests
    # that may be repeated.
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
{servers}"""

TCP: Final = """\
# Printed by `supervisor-d init haproxy`; a whole haproxy.cfg, of HAProxy 2.4 or later.
# The daemon has --proxy-protocol: bytes are passed on as they are, TLS included, behind a header that names the client.
global
    maxconn 4096
    log stdout format raw local0
{user}
defaults
    mode tcp
    log global
    option tcplog
    timeout connect 5s
    # supervisor-d's own times are to count: it closes an idle connection, and pings a silent WebSocket.
    timeout client {silence}s
    timeout server {silence}s

frontend web
    bind :80
    default_backend app

backend app
{servers}"""

VALUES: Final = {
    Says.CLIENT: ("http-request set-header {name} %[src]",),
    Says.SCHEME: (
        "http-request set-header {name} http",
        "http-request set-header {name} https if {{ ssl_fc }}",
    ),
    Says.HOST: ("http-request set-header {name} %[req.fhdr(host)]",),
    Says.PORT: ("http-request set-header {name} %[dst_port]",),
    Says.ALL: (
        "# RFC 7239: an IPv6 address is in brackets and quotes; a host that cannot be quoted as it is, is left out.",
        "http-request set-var(txn.scheme) str(http)",
        "http-request set-var(txn.scheme) str(https) if {{ ssl_fc }}",
        "http-request set-var(txn.client) src,concat()",
        "http-request set-header {name} 'for=%[src];proto=%[var(txn.scheme)]'",
        "http-request set-header {name} 'for=\"[%[src]]\";proto=%[var(txn.scheme)]' if {{ var(txn.client) -m sub : }}",
        "http-request set-header {name} '%[req.fhdr({name})];host=\"%[req.fhdr(host)]\"' "
        "if {{ req.fhdr(host) -m reg '^[A-Za-z0-9._:\\[\\]-]+$' }}",
    ),
    Says.ID: ("http-request set-header {name} %[uuid()]",),
}


def conf(plan: Plan, group: str = "") -> str:
    """The configuration of a HAProxy on the plan's machine, whose group may be known. Raises ConfigurationError."""
    settings = plan.settings
    servers = servers_of(settings.daemon.bind, "HAProxy", plan.directory)
    upstream = upstream_of(settings, servers, Front("HAProxy", group))
    sends_proxy = settings.server.proxy_protocol
    if sends_proxy:
        refuse_disbelief(settings, servers)
    user = words_of("user nobody", f"group {upstream.group}", indent=" " * 4) if upstream.group else ""
    lines = words_of(*(server_line(number, upstream, sends_proxy) for number in range(len(servers))), indent=" " * 4)
    if sends_proxy:
        return TCP.format(user=user, silence=max(upstream.silence_s, upstream.tunnel_s), servers=lines)
    return HTTP.format(
        user=user,
        buffer=buffer(settings.server),
        silence=upstream.silence_s,
        tunnel=max(upstream.tunnel_s, TUNNEL_S),  # here a WebSocket has a time of its own
        fields=fields(upstream),
        prefix=prefix(upstream.prefix),
        reuse="http-reuse safe" if upstream.idle_ms else "option httpclose",
        servers=lines,
    )


BUFFER_BYTES: Final = 16384
REWRITE_BYTES: Final = 1024
"""HAProxy's own tune.bufsize and tune.maxrewrite: a request's head has to fit into the one without the other."""


def buffer(server: ServerSettings) -> str:
    """The size of HAProxy's buffers where the usual one is too small for a head that the daemon takes."""
    needed = server.limit_request_line + server.limit_header_bytes + REWRITE_BYTES
    if needed <= BUFFER_BYTES:
        return ""
    return words_of(
        "# As large a head as supervisor-d takes (limit-request-line, limit-header-bytes); a larger one is a 400.",
        f"tune.bufsize {-(-needed // 1024) * 1024}",
        indent=" " * 4,
    )


PURGES: Final = 12
"""How many times within the time for an idle connection half of those that idle are closed, which is how HAProxy gives
them up: 4096 are none by then."""


def server_line(number: int, upstream: Upstream, sends_proxy: bool) -> str:
    name = f"app{number or ''}"
    words = ["server", name, place(upstream.servers[number])]
    if sends_proxy:
        return " ".join([*words, "send-proxy-v2"])
    if upstream.idle_ms:
        words += ["pool-purge-delay", f"{max(1, upstream.idle_ms // PURGES)}ms"]
    if upstream.tls:
        # Nothing leaves this machine; `verify required ca-file FILE` has the certificate verified.
        words += ["ssl", "verify", "none", "ssl-min-ver", f"TLSv{upstream.tls}"]
    return " ".join(words)


def place(server: Server) -> str:
    text = f"unix@{server.path}" if isinstance(server, UnixAddress) else str(server)
    return f"'{text}'" if " " in text else text


def fields(upstream: Upstream) -> str:
    set_lines = (line.format(name=name) for name, says in upstream.fields for line in VALUES[says])
    limit = f"http-request deny deny_status 413 if {{ req.hdr_val(content-length) gt {upstream.body_bytes} }}"
    return words_of(
        *(f"# {doubt}" for doubt in upstream.doubts),
        *(f"http-request del-header {name}" for name in upstream.cleared),
        *set_lines,
        *[limit] * bool(upstream.body_bytes),
        indent=" " * 4,
    )


def prefix(path: str) -> str:
    """The rules that take root-path off each path."""
    if not path:
        return ""
    odd = path.replace(".", "\\.")
    return words_of(
        f"http-request redirect code 308 location {path}/?%[query] if {{ path {path} }} {{ query -m found }}",
        f"http-request redirect code 308 location {path}/ if {{ path {path} }}",
        f"http-request return status 404 unless {{ path_beg {path}/ }}",
        f"http-request replace-path ^{odd}(/.*)$ \\1",
        indent=" " * 4,
    )


def refuse_disbelief(settings: Settings, servers: list[Server]) -> None:
    """With PROXY headers the peer must be allowed to connect, and fields that clients wrote must not be believed."""
    server = settings.server
    allowed = parse_trusted(server.proxy_allow_ips)
    for address in servers:
        peer = None if isinstance(address, UnixAddress) else (LOCAL.get(address.host, address.host), 0)
        if not allowed.trusts(peer):
            who = address.host if isinstance(address, TcpAddress) else "unix"
            raise ConfigurationError(f"proxy-allow-ips: must name {who}, from where HAProxy connects to {address}")
    if parse_trusted(server.forwarded_allow_ips).everybody and server.forwarded_headers != "off":
        raise ConfigurationError(
            "forwarded-allow-ips: must not be * behind a HAProxy that passes bytes on (proxy-protocol): every client "
            "would be believed in what it says of itself; name the proxies in front of HAProxy, or nothing"
        )
