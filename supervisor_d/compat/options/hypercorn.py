"""Hypercorn 0.18's options. Source: its parser (`hypercorn --help`) and the attributes of hypercorn.config.Config.

Where its file has another name for a setting than its command line, the file's is a row of its own, without flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from supervisor_d.compat.options.table import Fate, PeerOption, by_name

SAME, MAPPED, IGNORED, REFUSED = Fate.SAME, Fate.MAPPED, Fate.IGNORED, Fate.REFUSED

STDERR: Final = "The log goes to standard error."
HTTP2: Final = "HTTP/2 is not served yet: put a proxy in front that speaks it."
HTTP3: Final = "HTTP/3 is not served: put a proxy in front that speaks it."
PEMS: Final = "A certificate's file may hold its chain."
CERT_REQS: Final = "none, optional or required instead of a number or the name in ssl.VerifyMode."
ACCESS: Final = "off, stderr, - or a path."
INSECURE: Final = "Every listener speaks TLS once there is a certificate; run a second daemon for plain HTTP."
HOSTS: Final = "All hosts are served: choose them in the proxy, or in the application (TrustedHostMiddleware)."
SOCKETS: Final = "Hypercorn gives this user its Unix sockets; here workers run as that user."
INCOMPLETE: Final = "With both parsers."
RAW: Final = "Field names are lower-case, as ASGI has them."
QUEUE: Final = "Reading pauses by bytes, not by a number of messages."

OPTIONS: Final[Mapping[str, PeerOption]] = by_name(
    [
        PeerOption("application", (), MAPPED, ("app",), "module:attribute."),
        PeerOption("access_log", ("--access-log",), SAME, ("access-log",), ACCESS),
        PeerOption("access_logfile", ("--access-logfile",), MAPPED, ("access-log",), ACCESS),
        PeerOption("accesslog", (), MAPPED, ("access-log",), ACCESS),
        PeerOption("access_logformat", ("--access-logformat",), MAPPED, ("access-log-format",)),
        PeerOption("access_log_format", (), SAME, ("access-log-format",)),
        PeerOption("backlog", ("--backlog",), SAME, ("backlog",)),
        PeerOption("binds", ("-b", "--bind"), SAME, ("bind",), "A port has to be given: HOST:PORT."),
        PeerOption("insecure_binds", ("--insecure-bind",), REFUSED, (), INSECURE),
        PeerOption("quic_binds", ("--quic-bind",), REFUSED, (), HTTP3),
        PeerOption("insecure_bind", (), REFUSED, (), INSECURE),
        PeerOption("quic_bind", (), REFUSED, (), HTTP3),
        PeerOption("ca_certs", ("--ca-certs",), MAPPED, ("ssl-ca-certs",)),
        PeerOption("certfile", ("--certfile",), MAPPED, ("ssl-certfile",), PEMS),
        PeerOption("keyfile", ("--keyfile",), MAPPED, ("ssl-keyfile",)),
        PeerOption("keyfile_password", ("--keyfile-password",), MAPPED, ("ssl-keyfile-password",), "Not as a flag."),
        PeerOption("cert_reqs", ("--cert-reqs",), MAPPED, ("ssl-cert-reqs",), CERT_REQS),
        PeerOption("verify_mode", ("--verify-mode",), MAPPED, ("ssl-cert-reqs",), CERT_REQS),
        PeerOption("verify_flags", (), MAPPED, ("ssl-context",), "A callable that is given each SSLContext."),
        PeerOption("ciphers", ("--ciphers",), MAPPED, ("ssl-ciphers",)),
        PeerOption("alpn_protocols", (), REFUSED, (), HTTP2),
        PeerOption("ssl_handshake_timeout", (), MAPPED, ("header-timeout",), "The handshake is within that time."),
        PeerOption("config", ("-c", "--config"), MAPPED, ("config",), "A TOML file with the names of our settings."),
        PeerOption("daemon", ("-D", "--daemon"), REFUSED, (), "It stays in the foreground: systemd starts it."),
        PeerOption("debug", ("--debug",), MAPPED, ("log-level",), "--log-level debug; PYTHONASYNCIODEBUG=1."),
        PeerOption("error_log", ("--error-log",), IGNORED, (), STDERR),
        PeerOption("error_logfile", ("--error-logfile", "--log-file"), IGNORED, (), STDERR),
        PeerOption("errorlog", (), IGNORED, (), STDERR),
        PeerOption("log_config", ("--log-config",), SAME, ("log-config",), "The file's name tells its form."),
        PeerOption("logconfig", (), MAPPED, ("log-config",)),
        PeerOption("logconfig_dict", (), MAPPED, ("log-config",), "The dictionary, as a JSON file."),
        PeerOption("log_level", ("--log-level",), SAME, ("log-level",), "debug, info, warning or error."),
        PeerOption("loglevel", (), MAPPED, ("log-level",)),
        PeerOption("graceful_timeout", ("--graceful-timeout",), SAME, ("graceful-timeout",)),
        PeerOption("shutdown_timeout", (), MAPPED, ("graceful-timeout",), "Requests and lifespan together."),
        PeerOption("startup_timeout", (), MAPPED, ("boot-timeout",)),
        PeerOption("read_timeout", ("--read-timeout",), MAPPED, ("body-timeout", "header-timeout")),
        PeerOption("keep_alive", ("--keep-alive",), SAME, ("keep-alive",)),
        PeerOption("keep_alive_timeout", (), MAPPED, ("keep-alive",)),
        PeerOption("keep_alive_max_requests", (), REFUSED, (), "A connection may carry any number of requests."),
        PeerOption("max_requests", ("--max-requests",), SAME, ("max-requests",)),
        PeerOption("max_requests_jitter", ("--max-requests-jitter",), SAME, ("max-requests-jitter",)),
        PeerOption("user", ("-u", "--user"), MAPPED, ("user",), SOCKETS),
        PeerOption("group", ("-g", "--group"), SAME, ("group",)),
        PeerOption("umask", ("-m", "--umask"), SAME, ("umask",), "In octal; workers have it, too."),
        PeerOption(
            "worker_class", ("-k", "--worker-class"), MAPPED, ("loop",), "asyncio and uvloop; there is no trio."
        ),
        PeerOption("workers", ("-w", "--workers"), SAME, ("workers",), "At least 1."),
        PeerOption("pid", ("-p", "--pid"), MAPPED, ("pid-file",)),
        PeerOption("pid_path", (), MAPPED, ("pid-file",)),
        PeerOption("reload", ("--reload",), SAME, ("reload",)),
        PeerOption("use_reloader", (), MAPPED, ("reload",)),
        PeerOption("root_path", ("--root-path",), SAME, ("root-path",)),
        PeerOption("server_names", ("--server-name",), REFUSED, (), HOSTS),
        PeerOption("statsd_host", ("--statsd-host",), MAPPED, ("statsd",), "Metrics have gunicorn's names."),
        PeerOption("statsd_prefix", ("--statsd-prefix",), SAME, ("statsd-prefix",)),
        PeerOption("dogstatsd_tags", (), MAPPED, ("statsd-tags",)),
        PeerOption("websocket_ping_interval", ("--websocket-ping-interval",), MAPPED, ("ws-ping-interval",)),
        PeerOption("websocket_max_message_size", (), MAPPED, ("ws-max-size",)),
        PeerOption("wsgi_max_body_size", (), MAPPED, ("limit-body",), "Of all applications."),
        PeerOption("include_server_header", (), MAPPED, ("server-header",)),
        PeerOption("include_date_header", (), MAPPED, ("date-header",)),
        PeerOption("alt_svc_headers", (), MAPPED, ("header",), "--header 'Alt-Svc: ...'."),
        PeerOption("h11_max_incomplete_size", (), MAPPED, ("limit-header-bytes",), INCOMPLETE),
        PeerOption("h11_pass_raw_headers", (), REFUSED, (), RAW),
        PeerOption("h2_max_concurrent_streams", (), REFUSED, (), HTTP2),
        PeerOption("h2_max_header_list_size", (), REFUSED, (), HTTP2),
        PeerOption("h2_max_inbound_frame_size", (), REFUSED, (), HTTP2),
        PeerOption("max_app_queue_size", (), IGNORED, (), QUEUE),
    ]
)
