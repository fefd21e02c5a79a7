"""The server half of the declaration: what one worker, or `python -m server_core`, can be told.

Length: it is one table, and cut in two it would have to be read twice.
"""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import (
    BYTES,
    COUNT,
    PATH,
    SECONDS,
    SWITCH,
    TEXT,
    at_least,
    choice,
    off_or_at_least,
    option,
)
from server_core.settings.value_types import (
    ACCESS_LOG,
    ACCESS_LOG_FORMAT,
    APP,
    CALLABLE,
    FORWARDED,
    HEADER,
    LOG_LEVEL,
    PEERS,
    REQUEST_ID,
    THREADS,
    URL_PATH,
    URL_PREFIX,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the server core does with a connection and an application; durations in seconds, sizes in bytes."""

    app: str = option(
        "",
        kind=APP,
        section="application",
        help="The application: module:attribute, module:factory() or, with --factory, a module:callable.",
    )
    factory: bool = option(
        False,
        kind=SWITCH,
        section="application",
        help="APP names a callable that returns the application.",
    )
    interface: str = option(
        "auto",
        kind=choice("auto", "asgi3", "asgi2", "wsgi"),
        section="application",
        help="What the application speaks; auto tells them apart.",
    )
    threads: int = option(
        10,
        kind=THREADS,
        section="application",
        help="Threads in which a worker runs a WSGI application; 1 is its main thread. auto: 4 more than the CPUs that "
        "it may use, at most 32.",
    )
    app_dir: str = option(
        "",
        kind=PATH,
        section="application",
        help="Directory put first on the import path; the working directory if not given.",
    )
    lifespan: str = option(
        "auto",
        kind=choice("auto", "on", "off"),
        section="application",
        help="ASGI lifespan: auto goes on without it if the application does not know it; on requires it.",
    )
    root_path: str = option(
        "",
        kind=URL_PREFIX,
        section="application",
        help="Prefix under which a proxy serves the application (ASGI root_path).",
    )
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
    ws_max_size: int = option(
        16 * 1024**2,
        kind=BYTES,
        section="websocket",
        check=at_least(125),
        help="Largest WebSocket message, after decompression; a larger one ends the connection with code 1009.",
    )
    ws_ping_interval: float = option(
        20.0,
        kind=SECONDS,
        section="websocket",
        check=off_or_at_least(1),
        help="Silence after which a WebSocket's peer is pinged; 0 is never.",
    )
    ws_ping_timeout: float = option(
        20.0,
        kind=SECONDS,
        section="websocket",
        check=off_or_at_least(1),
        help="How long a pinged peer may stay silent before the connection is given up; 0 is for ever.",
    )
    ws_per_message_deflate: bool = option(
        True,
        kind=SWITCH,
        section="websocket",
        help="Compress WebSocket messages for clients that offer it (RFC 7692).",
    )
    ssl_certfile: tuple[str, ...] = option(
        (),
        kind=PATH,
        section="tls",
        repeatable=True,
        help="Certificate with its chain, in PEM; every listener then speaks TLS. Given again: for other names (SNI).",
    )
    ssl_keyfile: tuple[str, ...] = option(
        (),
        kind=PATH,
        section="tls",
        repeatable=True,
        help="Private key in PEM, once for each ssl-certfile in the same order; never, if those hold their keys.",
    )
    ssl_keyfile_password: str = option(
        "",
        kind=TEXT,
        section="tls",
        secret=True,
        help="Password of the private keys, if they are encrypted; not as a flag, since every user may read those.",
    )
    ssl_ca_certs: str = option(
        "", kind=PATH, section="tls", help="Certificates in PEM of those who may sign for clients."
    )
    ssl_cert_reqs: str = option(
        "none",
        kind=choice("none", "optional", "required"),
        section="tls",
        help="Whether clients are asked for a certificate; one that does not verify is never accepted.",
    )
    ssl_ciphers: str = option(
        "", kind=TEXT, section="tls", help="Ciphers up to TLS 1.2, as OpenSSL lists them; those with AEAD."
    )
    ssl_min_version: str = option(
        "1.2", kind=choice("1.2", "1.3"), section="tls", help="Oldest version of TLS that is spoken."
    )
    ssl_context: str = option(
        "", kind=CALLABLE, section="tls", help="module:callable that workers call with each SSLContext."
    )
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
    access_log: str = option(
        "off",
        kind=ACCESS_LOG,
        section="logs",
        help="One line a request: off, stderr, - for standard output, or a path, which is reopened at USR1.",
    )
    access_log_format: str = option(
        "auto",
        kind=ACCESS_LOG_FORMAT,
        section="logs",
        help="How a line of the access log looks; auto is as the log on stderr, else combined. See ACCESS_LOG.md.",
    )
    log_format: str = option(
        "auto",
        kind=choice("auto", "console", "json"),
        section="logs",
        reloads=False,
        help="auto is console on a terminal and JSON lines elsewhere.",
    )
    log_level: str = option("info", kind=LOG_LEVEL, section="logs", help="Least level that is written.")
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
    gc_threshold: int = option(
        0,
        kind=COUNT,
        section="application",
        check=at_least(0),
        help="Allocations between two looks of the garbage collector at young objects; 0 is Python's own number.",
    )
    fair_accept: bool = option(
        True,
        kind=SWITCH,
        section="server",
        help="A worker with more connections than another one leaves the next one to it, for 5 ms at most.",
    )
    health_path: str = option(
        "",
        kind=URL_PATH,
        section="reload",
        help="Path that a new worker must answer with 2xx or 3xx, inside the worker, before it takes connections.",
    )
