"""uvicorn 0.54's options. Source: `uvicorn --help` and its page "Settings"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from supervisor_d.compat.options.table import Fate, PeerOption, by_name

SAME, MAPPED, IGNORED, REFUSED = Fate.SAME, Fate.MAPPED, Fate.IGNORED, Fate.REFUSED

TLS_DEFAULT: Final = "TLS is negotiated between ssl-min-version and the newest; a single version cannot be asked for."
RELOAD: Final = "The old code serves on if the new one fails, and --workers counts, too."
OWN_WEBSOCKET: Final = "WebSocket is part of the server; there is no other implementation to choose."

OPTIONS: Final[Mapping[str, PeerOption]] = by_name(
    [
        PeerOption("app", (), SAME, ("app",)),
        PeerOption("host", ("--host",), MAPPED, ("bind",), "Host and port are one setting: --bind HOST:PORT."),
        PeerOption("port", ("--port",), MAPPED, ("bind",), "Host and port are one setting: --bind HOST:PORT."),
        PeerOption(
            "uds", ("--uds",), MAPPED, ("bind", "unix-mode"), "--bind unix:PATH; its mode is 0666 as uvicorn's is."
        ),
        PeerOption("fd", ("--fd",), MAPPED, ("bind",), "--bind fd://N."),
        PeerOption("reload", ("--reload",), SAME, ("reload",), RELOAD),
        PeerOption("reload_dirs", ("--reload-dir",), SAME, ("reload-dir",)),
        PeerOption("reload_includes", ("--reload-include",), SAME, ("reload-include",)),
        PeerOption("reload_excludes", ("--reload-exclude",), SAME, ("reload-exclude",)),
        PeerOption("reload_delay", ("--reload-delay",), SAME, ("reload-delay",)),
        PeerOption("workers", ("--workers",), SAME, ("workers",)),
        PeerOption(
            "loop", ("--loop",), MAPPED, ("loop",), "auto, asyncio and uvloop; another event loop is refused by name."
        ),
        PeerOption(
            "http", ("--http",), MAPPED, ("http",), "auto, httptools and h11; another protocol is refused by name."
        ),
        PeerOption(
            "http2", ("--http2",), REFUSED, (), "HTTP/2 is not served yet: put a proxy in front that speaks it."
        ),
        PeerOption("ws", ("--ws",), IGNORED, (), OWN_WEBSOCKET),
        PeerOption("ws_max_size", ("--ws-max-size",), SAME, ("ws-max-size",)),
        PeerOption(
            "ws_max_queue", ("--ws-max-queue",), IGNORED, (), "Reading pauses by bytes, not by a number of messages."
        ),
        PeerOption("ws_ping_interval", ("--ws-ping-interval",), SAME, ("ws-ping-interval",)),
        PeerOption("ws_ping_timeout", ("--ws-ping-timeout",), SAME, ("ws-ping-timeout",)),
        PeerOption("ws_per_message_deflate", ("--ws-per-message-deflate",), SAME, ("ws-per-message-deflate",)),
        PeerOption("lifespan", ("--lifespan",), SAME, ("lifespan",)),
        PeerOption("interface", ("--interface",), SAME, ("interface",)),
        PeerOption("env_file", ("--env-file",), SAME, ("env-file",)),
        PeerOption("log_config", ("--log-config",), SAME, ("log-config",)),
        PeerOption(
            "log_level", ("--log-level",), MAPPED, ("log-level",), "critical is error here, and trace is debug."
        ),
        PeerOption(
            "access_log",
            ("--access-log", "--no-access-log"),
            MAPPED,
            ("access-log", "access-log-format"),
            "--access-log - --access-log-format uvicorn; --access-log off.",
        ),
        PeerOption(
            "use_colors", ("--use-colors", "--no-use-colors"), IGNORED, (), "Lines in uvicorn's form have no colours."
        ),
        PeerOption(
            "proxy_headers",
            ("--proxy-headers", "--no-proxy-headers"),
            MAPPED,
            ("forwarded-headers",),
            "--forwarded-headers off.",
        ),
        PeerOption("server_header", ("--server-header", "--no-server-header"), SAME, ("server-header",)),
        PeerOption("date_header", ("--date-header", "--no-date-header"), SAME, ("date-header",)),
        PeerOption("forwarded_allow_ips", ("--forwarded-allow-ips",), SAME, ("forwarded-allow-ips",)),
        PeerOption("root_path", ("--root-path",), SAME, ("root-path",)),
        PeerOption(
            "limit_concurrency",
            ("--limit-concurrency",),
            SAME,
            ("limit-concurrency",),
            "Requests in the application are counted; uvicorn counts idle connections, too.",
        ),
        PeerOption("backlog", ("--backlog",), SAME, ("backlog",)),
        PeerOption("limit_max_requests", ("--limit-max-requests",), MAPPED, ("max-requests",)),
        PeerOption("limit_max_requests_jitter", ("--limit-max-requests-jitter",), MAPPED, ("max-requests-jitter",)),
        PeerOption("timeout_keep_alive", ("--timeout-keep-alive",), MAPPED, ("keep-alive",)),
        PeerOption(
            "timeout_graceful_shutdown",
            ("--timeout-graceful-shutdown",),
            MAPPED,
            ("graceful-timeout",),
            "Without it uvicorn waits for ever; graceful-timeout is 30 s.",
        ),
        PeerOption(
            "timeout_worker_healthcheck",
            ("--timeout-worker-healthcheck",),
            MAPPED,
            ("timeout",),
            "The longest silence of a worker's event loop.",
        ),
        PeerOption("ssl_keyfile", ("--ssl-keyfile",), SAME, ("ssl-keyfile",)),
        PeerOption("ssl_certfile", ("--ssl-certfile",), SAME, ("ssl-certfile",)),
        PeerOption(
            "ssl_keyfile_password",
            ("--ssl-keyfile-password",),
            SAME,
            ("ssl-keyfile-password",),
            "Every user of the machine can read a command line: a variable or a file is safer.",
        ),
        PeerOption("ssl_version", ("--ssl-version",), IGNORED, (), TLS_DEFAULT),
        PeerOption(
            "ssl_cert_reqs", ("--ssl-cert-reqs",), MAPPED, ("ssl-cert-reqs",), "0, 1, 2 are none, optional, required."
        ),
        PeerOption("ssl_ca_certs", ("--ssl-ca-certs",), SAME, ("ssl-ca-certs",)),
        PeerOption("ssl_ciphers", ("--ssl-ciphers",), SAME, ("ssl-ciphers",)),
        PeerOption("headers", ("--header",), MAPPED, ("header",), "Not sent where the application gave that field."),
        PeerOption("version", ("--version",), MAPPED, (), "The version of supervisor-d."),
        PeerOption("app_dir", ("--app-dir",), SAME, ("app-dir",)),
        PeerOption(
            "h11_max_incomplete_event_size",
            ("--h11-max-incomplete-event-size",),
            MAPPED,
            ("limit-header-bytes",),
            "With both parsers.",
        ),
        PeerOption(
            "reset_contextvars",
            ("--reset-contextvars",),
            IGNORED,
            (),
            "Each request has a context of its own, whether it is asked for or not.",
        ),
        PeerOption("factory", ("--factory",), SAME, ("factory",)),
    ]
)
