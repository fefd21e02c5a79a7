"""granian 2.8's options. Source: the parameters of granian.cli.cli (`granian --help`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from supervisor_d.compat.options.table import Fate, PeerOption, by_name

SAME, MAPPED, IGNORED, REFUSED = Fate.SAME, Fate.MAPPED, Fate.IGNORED, Fate.REFUSED

TOGETHER: Final = "Host and port are one setting: --bind HOST:PORT."
RUST: Final = "There are no threads besides Python's: a worker is one event loop."
HTTP2: Final = "HTTP/2 is not served yet: put a proxy in front that speaks it."
WATCHED: Final = "Patterns of names, as a shell has them, say what does not count."
STATIC: Final = "Files are served by a proxy, or by the application (Starlette's StaticFiles, WhiteNoise)."
RESPAWN: Final = "A worker that ends is always replaced, at once, then after growing pauses."
METRICS: Final = "The daemon's /metrics, at --admin-bind HOST:PORT."
MEMORY: Final = "How often it is looked depends on how near the limit a worker is."

OPTIONS: Final[Mapping[str, PeerOption]] = by_name(
    [
        PeerOption("app", (), SAME, ("app",)),
        PeerOption("host", ("--host",), MAPPED, ("bind",), TOGETHER),
        PeerOption("port", ("--port",), MAPPED, ("bind",), TOGETHER),
        PeerOption("uds", ("--uds",), MAPPED, ("bind",), "--bind unix:PATH."),
        PeerOption("uds_permissions", ("--uds-permissions",), MAPPED, ("unix-mode",)),
        PeerOption("interface", ("--interface",), MAPPED, ("interface",), "asgi is asgi3; there is no rsgi."),
        PeerOption("http", ("--http",), REFUSED, (), "HTTP/1.1 is served; --http names its parser here."),
        PeerOption("websockets", ("--ws", "--no-ws"), IGNORED, (), "WebSocket is part of the server."),
        PeerOption("workers", ("--workers",), SAME, ("workers",)),
        PeerOption("blocking_threads", ("--blocking-threads",), MAPPED, ("threads",), "Of WSGI applications."),
        PeerOption("blocking_threads_idle_timeout", ("--blocking-threads-idle-timeout",), IGNORED, (), RUST),
        PeerOption("runtime_threads", ("--runtime-threads",), IGNORED, (), RUST),
        PeerOption("runtime_blocking_threads", ("--runtime-blocking-threads",), IGNORED, (), RUST),
        PeerOption("runtime_mode", ("--runtime-mode",), IGNORED, (), RUST),
        PeerOption("loop", ("--loop",), SAME, ("loop",), "auto, asyncio or uvloop."),
        PeerOption("task_impl", ("--task-impl",), IGNORED, (), "Tasks are asyncio's."),
        PeerOption("backlog", ("--backlog",), SAME, ("backlog",)),
        PeerOption("backpressure", ("--backpressure",), MAPPED, ("limit-connections",), "Connections of one worker."),
        PeerOption("http1_buffer_size", ("--http1-buffer-size",), MAPPED, ("limit-header-bytes",)),
        PeerOption(
            "http1_header_read_timeout",
            ("--http1-header-read-timeout",),
            MAPPED,
            ("header-timeout",),
            "A length of time with its unit: 250ms, 30s.",
        ),
        PeerOption(
            "http1_keep_alive", ("--http1-keep-alive", "--no-http1-keep-alive"), MAPPED, ("keep-alive",), "A time; 75s."
        ),
        PeerOption(
            "http1_pipeline_flush",
            ("--http1-pipeline-flush", "--no-http1-pipeline-flush"),
            IGNORED,
            (),
            "Answers of a pipeline leave together always.",
        ),
        PeerOption(
            "http2_adaptive_window", ("--http2-adaptive-window", "--no-http2-adaptive-window"), REFUSED, (), HTTP2
        ),
        *(
            PeerOption(name, (f"--{name.replace('_', '-')}",), REFUSED, (), HTTP2)
            for name in (
                *("http2_initial_connection_window_size", "http2_initial_stream_window_size"),
                *("http2_keep_alive_interval", "http2_keep_alive_timeout", "http2_max_concurrent_streams"),
                *("http2_max_frame_size", "http2_max_headers_size", "http2_max_send_buffer_size"),
            )
        ),
        PeerOption("log_enabled", ("--log", "--no-log"), MAPPED, ("log-level",), "--log-level error says least."),
        PeerOption("log_level", ("--log-level",), MAPPED, ("log-level",), "critical is error here."),
        PeerOption("log_config", ("--log-config",), SAME, ("log-config",)),
        PeerOption(
            "log_access_enabled",
            ("--access-log", "--no-access-log"),
            MAPPED,
            ("access-log",),
            "--access-log - or --access-log off.",
        ),
        PeerOption(
            "log_access_fmt", ("--access-log-fmt",), MAPPED, ("access-log-format",), "Other atoms: ACCESS_LOG.md."
        ),
        PeerOption("ssl_certificate", ("--ssl-certificate",), MAPPED, ("ssl-certfile",)),
        PeerOption("ssl_keyfile", ("--ssl-keyfile",), SAME, ("ssl-keyfile",)),
        PeerOption("ssl_keyfile_password", ("--ssl-keyfile-password",), MAPPED, ("ssl-keyfile-password",), "No flag."),
        PeerOption("ssl_protocol_min", ("--ssl-protocol-min",), MAPPED, ("ssl-min-version",), "1.2 or 1.3."),
        PeerOption("ssl_ca", ("--ssl-ca",), MAPPED, ("ssl-ca-certs",)),
        PeerOption(
            "ssl_crl", ("--ssl-crl",), MAPPED, ("ssl-context",), "A callable that loads it into each SSLContext."
        ),
        PeerOption(
            "ssl_client_verify",
            ("--ssl-client-verify", "--no-ssl-client-verify"),
            MAPPED,
            ("ssl-cert-reqs",),
            "--ssl-cert-reqs required.",
        ),
        PeerOption("url_path_prefix", ("--url-path-prefix",), MAPPED, ("root-path",)),
        PeerOption(
            "respawn_failed_workers", ("--respawn-failed-workers", "--no-respawn-failed-workers"), IGNORED, (), RESPAWN
        ),
        PeerOption("respawn_interval", ("--respawn-interval",), IGNORED, (), RESPAWN),
        PeerOption("rss_sample_interval", ("--rss-sample-interval",), IGNORED, (), MEMORY),
        PeerOption("rss_samples", ("--rss-samples",), IGNORED, (), MEMORY),
        PeerOption("workers_lifetime", ("--workers-lifetime",), MAPPED, ("max-age",)),
        PeerOption("workers_max_rss", ("--workers-max-rss",), MAPPED, ("max-memory",), "With a unit (512M); of PSS."),
        PeerOption("workers_kill_timeout", ("--workers-kill-timeout",), MAPPED, ("graceful-timeout",)),
        PeerOption("factory", ("--factory", "--no-factory"), SAME, ("factory",)),
        PeerOption("working_dir", ("--working-dir",), MAPPED, ("chdir",)),
        PeerOption("env_files", ("--env-files",), MAPPED, ("env-file",), "One file; the environment comes before it."),
        PeerOption("static_path_route", ("--static-path-route",), REFUSED, (), STATIC),
        PeerOption("static_path_mount", ("--static-path-mount",), REFUSED, (), STATIC),
        PeerOption("static_path_dir_to_file", ("--static-path-dir-to-file",), REFUSED, (), STATIC),
        PeerOption("static_path_expires", ("--static-path-expires",), REFUSED, (), STATIC),
        PeerOption("metrics_enabled", ("--metrics", "--no-metrics"), MAPPED, ("admin-bind",), METRICS),
        PeerOption("metrics_scrape_interval", ("--metrics-scrape-interval",), IGNORED, (), "They are always current."),
        PeerOption("metrics_address", ("--metrics-address",), MAPPED, ("admin-bind",), METRICS),
        PeerOption("metrics_port", ("--metrics-port",), MAPPED, ("admin-bind",), METRICS),
        PeerOption("reload", ("--reload", "--no-reload"), SAME, ("reload",)),
        PeerOption("reload_paths", ("--reload-paths",), MAPPED, ("reload-dir",)),
        PeerOption("reload_ignore_dirs", ("--reload-ignore-dirs",), MAPPED, ("reload-exclude",), WATCHED),
        PeerOption("reload_ignore_patterns", ("--reload-ignore-patterns",), MAPPED, ("reload-exclude",), WATCHED),
        PeerOption("reload_ignore_paths", ("--reload-ignore-paths",), MAPPED, ("reload-exclude",), WATCHED),
        PeerOption("reload_tick", ("--reload-tick",), MAPPED, ("reload-delay",), "With a unit: 50ms."),
        PeerOption(
            "reload_ignore_worker_failure",
            ("--reload-ignore-worker-failure", "--no-reload-ignore-worker-failure"),
            IGNORED,
            (),
            "A reload that fails is rolled back, and the old workers serve on.",
        ),
        PeerOption("process_name", ("--process-name",), MAPPED, ("proc-title",)),
        PeerOption("pid_file", ("--pid-file",), SAME, ("pid-file",)),
        PeerOption("version", ("--version",), MAPPED, (), "The version of supervisor-d."),
    ]
)
