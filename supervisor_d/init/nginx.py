"""The daemon's upstream as an nginx.conf: kept-alive connections, WebSocket, and who asks. Pure."""

from __future__ import annotations

from typing import Final

from supervisor_d.init.plan import Plan
from supervisor_d.init.upstream import Front, Says, Server, Upstream, of_plan, words_of

NGINX: Final = """\
# Printed by `supervisor-d init nginx`; a whole nginx.conf, of nginx 1.15.3 or later.
{user}worker_processes auto;
events {{ worker_connections 1024; }}
http {{
    log_format with_id '$remote_addr "$request" $status $body_bytes_sent $request_time $request_id';
    access_log /dev/stdout with_id;
    server_tokens off;

    upstream app {{
{servers}{kept}    }}
    # An Upgrade is passed on as one; any other request leaves the upstream connection {left}.
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        ''      '{connection}';
    }}
    # A client of HTTP/1.0 may send no Host, and then nginx would send none: in HTTP/1.1 that is refused.
    map $server_protocol $host_if_none {{
        default  '';
        HTTP/1.0 localhost;
    }}
    map $http_host $sent_host {{
        default $http_host;
        ''      $host_if_none;
    }}
{maps}    server {{
        listen 80;
        client_max_body_size {body};
        large_client_header_buffers 4 {head}k;
{underscores}        location {prefix}/ {{
{path}            proxy_pass {scheme}://app{rest};
            proxy_http_version 1.1;
{tls}            proxy_set_header Host $sent_host;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
            # Set whatever the client sent, or removed: a field that nginx hands on is the client's own word.
{fields}            # A streamed response reaches the client as it is made.
            proxy_buffering off;
            proxy_read_timeout {silence}s;
        }}
{elsewhere}    }}
}}
"""

MAPS: Final = """\
    # RFC 7239: an IPv6 address is in brackets and quotes; a host that cannot be quoted as it is, is left out.
    map $remote_addr $forwarded_for {
        default   $remote_addr;
        "~:"      "\\"[$remote_addr]\\"";
    }
    map $http_host $forwarded_host {
        default   "";
        "~^[A-Za-z0-9._:\\[\\]-]+$" ";host=\\"$http_host\\"";
    }
"""

PREFIX_MAP: Final = """\
    # The path as the client wrote it, without the prefix (root-path); nginx' own way to take it off decodes the rest.
    map $request_uri $path_below {{
        default   "";
        "~^{prefix}(?<below>/.*)$" $below;
    }}
"""

VALUES: Final = {
    Says.CLIENT: "$remote_addr",
    Says.SCHEME: "$scheme",
    Says.HOST: "$http_host",
    Says.PORT: "$server_port",
    Says.ALL: '"for=$forwarded_for;proto=$scheme$forwarded_host"',
    Says.ID: "$request_id",
}

PROTOCOLS: Final = {"1.2": "TLSv1.2 TLSv1.3", "1.3": "TLSv1.3"}
"""nginx before 1.23.4 does not offer TLS 1.3 to an upstream by itself."""


def upstream_for(plan: Plan, group: str = "") -> Upstream:
    """The plan's daemon before an nginx on the same machine, whose group may be known. Raises ConfigurationError."""
    return of_plan(plan, Front("nginx", group))


def conf(upstream: Upstream) -> str:
    """The configuration of an nginx before this upstream."""
    maps = MAPS if any(says is Says.ALL for _, says in upstream.fields) else ""
    below = "if ($path_below = '') { return 404; }"
    return NGINX.format(
        user=f"user nobody {upstream.group};\n" if upstream.group else "",
        servers=words_of(*(f"server {place(server)};" for server in upstream.servers), indent=" " * 8),
        kept=kept(upstream),
        left="open" if upstream.idle_ms else "to be closed",
        connection="" if upstream.idle_ms else "close",
        maps=maps + (PREFIX_MAP.format(prefix=upstream.prefix.replace(".", "\\.")) if upstream.prefix else ""),
        body=upstream.body_bytes,
        head=-(-upstream.head_bytes // 1024),
        underscores=words_of(*["underscores_in_headers on;"] * upstream.keeps_underscores, indent=" " * 8),
        prefix=upstream.prefix,
        elsewhere=words_of(*["location / { return 404; }"] * bool(upstream.prefix), indent=" " * 8),
        path=words_of(*[below] * bool(upstream.prefix), indent=" " * 12),
        scheme="https" if upstream.tls else "http",
        rest="$path_below" if upstream.prefix else "",
        tls=tls(upstream),
        fields=fields(upstream),
        silence=max(upstream.silence_s, upstream.tunnel_s),
    )


def place(server: Server) -> str:
    text = str(server)
    return f'"{text}"' if " " in text else text


def kept(upstream: Upstream) -> str:
    """How upstream connections are kept, if they are."""
    if not upstream.idle_ms:
        return ""
    return words_of(
        "# Kept alive, and given up by nginx before supervisor-d does (keep-alive): neither closes on the other.",
        "keepalive 32;",
        f"keepalive_timeout {upstream.idle};",
        indent=" " * 8,
    )


def tls(upstream: Upstream) -> str:
    if not upstream.tls:
        return ""
    return words_of(
        "# supervisor-d speaks TLS. Nothing leaves this machine, so its certificate is not verified; to have it, add",
        "# proxy_ssl_verify on, proxy_ssl_trusted_certificate with its authority, and proxy_ssl_name with its name.",
        f"proxy_ssl_protocols {PROTOCOLS[upstream.tls]};",
        "proxy_ssl_verify off;",
        indent=" " * 12,
    )


def fields(upstream: Upstream) -> str:
    return words_of(
        *(f"# {doubt}" for doubt in upstream.doubts),
        *(f"proxy_set_header {name} {VALUES[says]};" for name, says in upstream.fields),
        *(f'proxy_set_header {name} "";' for name in upstream.cleared),
        indent=" " * 12,
    )
