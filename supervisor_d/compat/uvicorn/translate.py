"""uvicorn's parameters, as its command or `uvicorn.run()` has them -> our settings. Pure.

`parameters` is by uvicorn's names; what is None was not given. Defaults of uvicorn's that differ from ours are given as
values, so that a command line behaves as it did: 127.0.0.1:8000, a keep-alive of 5 s, an access log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from supervisor_d.compat.options.table import Fate
from supervisor_d.compat.options.uvicorn import OPTIONS
from supervisor_d.compat.shared.translation import Translation, Translator
from supervisor_d.errors import ConfigurationError

DIRECT: Final[Mapping[str, str]] = {
    **{name: name for name in ("app", "ws_max_size", "lifespan", "interface", "env_file", "log_config", "app_dir")},
    **{name: name for name in ("workers", "root_path", "backlog", "forwarded_allow_ips", "limit_concurrency")},
    **{name: name for name in ("ws_ping_interval", "ws_ping_timeout", "ws_per_message_deflate", "factory")},
    **{name: name for name in ("server_header", "date_header", "ssl_keyfile", "ssl_certfile", "ssl_ca_certs")},
    **{name: name for name in ("ssl_ciphers", "ssl_keyfile_password")},
    "limit_max_requests": "max_requests",
    "limit_max_requests_jitter": "max_requests_jitter",
    "timeout_keep_alive": "keep_alive",
    "timeout_graceful_shutdown": "graceful_timeout",
    "timeout_worker_healthcheck": "timeout",
    "h11_max_incomplete_event_size": "limit_header_bytes",
}
"""uvicorn's parameter: our setting, whose value is the same."""

WATCHING: Final[Mapping[str, str]] = {
    "reload": "reload",
    "reload_dirs": "reload_dir",
    "reload_includes": "reload_include",
    "reload_excludes": "reload_exclude",
    "reload_delay": "reload_delay",
}

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "loop": ("auto", "asyncio", "uvloop"),
    "http": ("auto", "h11", "httptools"),
}
LEVELS: Final[Mapping[str, str]] = {"critical": "error", "trace": "debug"}
"""Levels that we have not: the nearest that writes at least as much."""
CERTIFICATES: Final = ("none", "optional", "required")
UNIX_MODE: Final = "0666"
"""uvicorn's, of a socket that it binds."""


def translate(parameters: Mapping[str, object], where: Callable[[str], str]) -> Translation:
    """The settings; ConfigurationError names every option that cannot be taken."""
    to = Translator("uvicorn", OPTIONS, where)
    wanted = {name: value for name, value in parameters.items() if value is not None and value != ()}
    for name, setting in DIRECT.items():
        if name in wanted:
            to.give(setting, wanted[name], name)
    problems = [*_choices(wanted, to), *_transport(wanted, to)]
    refused = (name for name, row in OPTIONS.items() if row.fate is Fate.REFUSED and wanted.get(name))
    problems += [to.refusal(name) for name in refused]
    _reload(wanted, to)
    _listeners(wanted, to)
    _logs(wanted, to)
    _proxies(wanted, to)
    for name in ("ws_max_queue", "use_colors", "reset_contextvars", "ssl_version"):
        if name in wanted and wanted[name] is not False:
            to.ignore(name)
    if wanted.get("ws", "auto") != "auto":
        to.ignore("ws")
    if problems:
        raise ConfigurationError(*problems)
    return to.done()


def _choices(wanted: Mapping[str, object], to: Translator) -> list[str]:
    problems = []
    for name, known in CHOICES.items():
        value = wanted.get(name)
        if value in known:
            to.give(name, value, name)
        elif value is not None:
            problems.append(to.refusal(name, f"{value!r} is not there; one of {', '.join(known)}"))
    return problems


def _listeners(wanted: Mapping[str, object], to: Translator) -> None:
    """uvicorn has one listener: a descriptor before a Unix socket before an address."""
    if "fd" in wanted:
        to.give("bind", (f"fd://{wanted['fd']}",), "fd")
    elif "uds" in wanted:
        to.give("bind", (f"unix:{wanted['uds']}",), "uds")
        to.give("unix_mode", UNIX_MODE, "uds")
    else:
        host = str(wanted.get("host", "127.0.0.1"))
        named = f"[{host}]" if ":" in host else host
        to.give("bind", (f"{named}:{wanted.get('port', 8000)}",), "host" if "host" in wanted else "port")


def _reload(wanted: Mapping[str, object], to: Translator) -> None:
    """What says how to watch counts with --reload alone, as with uvicorn."""
    if wanted.get("reload"):
        for name, setting in WATCHING.items():
            if name in wanted:
                to.give(setting, wanted[name], name)


def _logs(wanted: Mapping[str, object], to: Translator) -> None:
    level = str(wanted.get("log_level", "info"))
    to.give("log_level", LEVELS.get(level, level), "log_level")
    to.give("log_format", "uvicorn", "log_level")
    to.give("access_log", "-" if wanted.get("access_log", True) else "off", "access_log")
    to.give("access_log_format", "uvicorn", "access_log")


def _proxies(wanted: Mapping[str, object], to: Translator) -> None:
    if wanted.get("proxy_headers") is False:
        to.give("forwarded_headers", "off", "proxy_headers")


def _transport(wanted: Mapping[str, object], to: Translator) -> list[str]:
    """Fields of every response, and the certificates of clients."""
    problems = []
    headers = []
    fields = wanted.get("headers", ())
    assert isinstance(fields, (list, tuple))
    for field in fields:
        name, colon, value = field.partition(":") if isinstance(field, str) else (field[0], ":", field[1])
        if not colon:
            problems.append(to.refusal("headers", f"must be NAME:VALUE, not {field!r}"))
        headers.append(f"{name.strip()}: {value.strip()}")
    if headers:
        to.give("header", tuple(headers), "headers")
    asked = wanted.get("ssl_cert_reqs")
    if isinstance(asked, int) and 0 <= asked < len(CERTIFICATES):
        to.give("ssl_cert_reqs", CERTIFICATES[asked], "ssl_cert_reqs")
    elif asked is not None:
        problems.append(to.refusal("ssl_cert_reqs", f"must be 0, 1 or 2, as in Python's ssl, not {asked!r}"))
    return problems
