"""A plan as the nginx in front of it: kept-alive upstream connections, WebSocket, request ids. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.address import TcpAddress, UnixAddress, parse_address

NGINX: Final = """\
# Printed by `supervisor-d init nginx`; a whole nginx.conf.
worker_processes auto;
events { worker_connections 1024; }
http {
    log_format with_id '$remote_addr "$request" $status $body_bytes_sent $request_time $request_id';
    access_log /dev/stdout with_id;
    server_tokens off;

    upstream app {
SERVERS
        # Kept alive, and given up by nginx before supervisor-d does (keep-alive, 75 s): neither closes on the other.
        keepalive 32;
        keepalive_timeout 60s;
    }
    # An Upgrade is passed on as one; any other request leaves the upstream connection open.
    map $http_upgrade $connection_upgrade {
        default upgrade;
        ''      '';
    }
    server {
        listen 80;
        client_max_body_size 16m;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-ID $request_id;
            # A streamed response reaches the client as it is made.
            proxy_buffering off;
            proxy_read_timeout 75s;
        }
    }
}
"""


def conf(upstreams: Iterable[str]) -> str:
    """The configuration for these servers, as nginx writes them."""
    return NGINX.replace("SERVERS", "\n".join(f"        server {upstream};" for upstream in upstreams))


def upstreams_of(bind: Iterable[str]) -> list[str]:
    """What nginx on the same machine connects to; ConfigurationError where there is nothing."""
    found = []
    for address in map(parse_address, bind):
        if isinstance(address, UnixAddress) and not address.is_abstract:
            found.append(f"unix:{address.path}")
        elif isinstance(address, TcpAddress) and address.port:
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
            found.append(str(TcpAddress(host, address.port)))
    if not found:
        raise ConfigurationError("bind: must have a port or a Unix socket's path that nginx can connect to")
    return found
