"""The daemon's upstream as a Caddyfile. Pure."""

from __future__ import annotations

import textwrap
from typing import Final

from supervisor_d.init.plan import Plan
from supervisor_d.init.upstream import Front, Says, Server, Upstream, of_plan, words_of
from supervisor_d.settings.values.address import UnixAddress

TAB: Final = "\t"
"""`caddy fmt` indents by tabs, and Caddy complains of a file that is not as that would have it."""

CADDY: Final = """\
# Printed by `supervisor-d init caddy`; a whole Caddyfile, of Caddy 2.5 or later.
# With a name instead of :80 Caddy gets a certificate for it.
:80 {{
{maps}{site}}}
"""

PROXY: Final = """\
reverse_proxy {servers} {{
	# Set whatever the client sent, or removed: a field that Caddy hands on is the client's own word. Caddy sets
	# X-Forwarded-For, -Proto and -Host by itself, and believes no client in them.
{fields}	# A streamed response reaches the client as it is made.
	flush_interval -1
	transport http {{
		# Given up by Caddy before supervisor-d does (keep-alive): neither closes on the other.
		keepalive {idle}
{tls}	}}
}}
"""

PREFIX: Final = """\
handle_path {prefix}/* {{
{site}}}
redir {prefix} {prefix}/?{{query}} 308
respond 404
"""

MAPS: Final = """\
	# RFC 7239: an IPv6 address is in brackets and quotes; a host that cannot be quoted as it is, is left out.
	map {remote_host} {forwarded_for} {
		~^(.*:.*)$ `"[${1}]"`
		default {remote_host}
	}
	map {hostport} {forwarded_host} {
		~^([A-Za-z0-9._:\\[\\]-]+)$ `;host="${1}"`
		default ""
	}
"""

BY_ITSELF: Final = (Says.CLIENT, Says.SCHEME, Says.HOST)
"""What Caddy sets without a word."""

VALUES: Final = {
    Says.PORT: "80",
    Says.ALL: "for={forwarded_for};proto={scheme}{forwarded_host}",
    Says.ID: "{http.request.uuid}",
}


def upstream_for(plan: Plan, group: str = "") -> Upstream:
    """The plan's daemon before a Caddy on the same machine, whose group may be known. Raises ConfigurationError."""
    return of_plan(plan, Front("Caddy", group))


def conf(upstream: Upstream) -> str:
    """The configuration of a Caddy before this upstream."""
    site = PROXY.format(
        servers=" ".join(map(place, upstream.servers)),
        fields=fields(upstream),
        idle=upstream.idle if upstream.idle_ms else "off",
        tls=tls(upstream),
    )
    if upstream.prefix:
        site = PREFIX.format(prefix=upstream.prefix, site=textwrap.indent(site, TAB))
    maps = MAPS if any(says is Says.ALL for _, says in upstream.fields) else ""
    return CADDY.format(maps=maps, site=textwrap.indent(site, TAB))


def place(server: Server) -> str:
    text = f"unix/{server.path}" if isinstance(server, UnixAddress) else str(server)
    return f'"{text}"' if " " in text else text


def fields(upstream: Upstream) -> str:
    has_port = any(says is Says.PORT for _, says in upstream.fields)
    return words_of(
        *(f"# {doubt}" for doubt in upstream.doubts),
        *([f"# Caddy's user must be in the group {upstream.group}."] if upstream.group else []),
        *(f"header_up -{name}" for name in upstream.cleared),
        *["# The port of the site's address, above: Caddy before 2.7 cannot tell it."] * has_port,
        *(f"header_up {name} {VALUES[says]}" for name, says in upstream.fields if says not in BY_ITSELF),
        indent=TAB,
    )


def tls(upstream: Upstream) -> str:
    if not upstream.tls:
        return ""
    return words_of(
        "# supervisor-d speaks TLS. Nothing leaves this machine, so its certificate is not verified; to have it,",
        "# write tls_trusted_ca_certs with its authority, and tls_server_name with its name, instead.",
        "tls_insecure_skip_verify",
        indent=TAB * 2,
    )
