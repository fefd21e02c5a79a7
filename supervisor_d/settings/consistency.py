"""Settings that are sound alone and impossible together, or on this machine: each refused by name.

A rule looks at the whole and returns what is wrong with one setting, or None. What it needs of the machine is asked
of `Host`, so that the rules stay arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

from server_core.settings.declaration import ServerSettings
from server_core.tls.checks import tls_problem
from supervisor_d.settings.application.env_file import env_file_problem
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.table import ROWS
from supervisor_d.settings.values.address import InheritedAddress, TcpAddress, parse_address
from supervisor_d.settings.values.identity import identity_problem


class Host(Protocol):
    """What the rules ask of the machine."""

    def has_module(self, name: str) -> bool: ...

    def has_directory(self, path: str) -> bool: ...

    def has_path(self, path: str) -> bool: ...

    def env_file_problem(self, path: str) -> str | None: ...

    def log_config_problem(self, path: str) -> str | None: ...

    def tls_problem(self, settings: ServerSettings) -> tuple[str, str] | None: ...

    def identity_problem(self, user: str, group: str) -> tuple[str, str] | None: ...


class ThisHost:
    """The machine we run on."""

    def has_module(self, name: str) -> bool:
        return find_spec(name) is not None

    def has_directory(self, path: str) -> bool:
        return Path(path).is_dir()

    def has_path(self, path: str) -> bool:
        return Path(path).exists()

    def env_file_problem(self, path: str) -> str | None:
        return env_file_problem(path)

    def log_config_problem(self, path: str) -> str | None:
        from server_core import log_config  # here: logging takes a master 1 MB, and few have such a file

        return log_config.problem(path)

    def tls_problem(self, settings: ServerSettings) -> tuple[str, str] | None:
        return tls_problem(settings)

    def identity_problem(self, user: str, group: str) -> tuple[str, str] | None:
        return identity_problem(user, group)


Rule = Callable[[Settings, Host], "tuple[str, str] | None"]
"""Settings and machine -> (setting's name, what is wrong), or None."""


def jitter_needs_a_limit(settings: Settings, _: Host) -> tuple[str, str] | None:
    if settings.server.max_requests_jitter and not settings.server.max_requests:
        return "max_requests_jitter", "is added to max-requests, which is 0 (never); give max-requests, too"
    return None


def workers_are_within_their_bound(settings: Settings, _: Host) -> tuple[str, str] | None:
    most = settings.daemon.max_workers
    if most and settings.daemon.workers > most:
        return "workers", f"must be at most max-workers, which is {most}, not {settings.daemon.workers}"
    return None


def spread_fits_into_the_drain(settings: Settings, _: Host) -> tuple[str, str] | None:
    return at_most(settings, "drain_spread", "graceful_timeout")


def request_line_fits_into_the_head(settings: Settings, _: Host) -> tuple[str, str] | None:
    return at_most(settings, "limit_request_line", "limit_header_bytes")


def at_most(settings: Settings, lesser: str, greater: str) -> tuple[str, str] | None:
    """A rule's answer if the first of two numbers is above the second."""
    small, great = ROWS[lesser], ROWS[greater]
    value, bound = small.of(settings), great.of(settings)
    if isinstance(value, (int, float)) and isinstance(bound, (int, float)) and value > bound:
        return lesser, f"must be at most {great.long} ({great.render(bound)}), not {small.render(value)}"
    return None


def factory_is_said_once(settings: Settings, _: Host) -> tuple[str, str] | None:
    if settings.server.factory and settings.server.app.endswith("()"):
        return "factory", f"app already calls its factory, {settings.server.app!r}; leave out one of the two"
    return None


def addresses_are_distinct(settings: Settings, _: Host) -> tuple[str, str] | None:
    """Port 0 takes another port each time, so it may be there twice."""
    fixed = [
        text
        for text in (*settings.daemon.bind, *([settings.daemon.admin_bind] if settings.daemon.admin_bind else ()))
        if not (isinstance(address := parse_address(text), TcpAddress) and address.port == 0)
    ]
    twice = [text for text, times in Counter(fixed).items() if times > 1]
    return ("bind", f"must name each address once, not {', '.join(twice)} again") if twice else None


def descriptors_are_not_the_outputs(settings: Settings, _: Host) -> tuple[str, str] | None:
    """Descriptor 0 may be a listener (supervisord's fcgi-program); 1 and 2 are where logs go."""
    for text in settings.daemon.bind:
        address = parse_address(text)
        if isinstance(address, InheritedAddress) and address.fd in (1, 2):
            return "bind", f"{text} is standard {'output' if address.fd == 1 else 'error'}, not a listener"
    return None


def proxies_are_named(settings: Settings, _: Host) -> tuple[str, str] | None:
    allowed = settings.server.proxy_allow_ips
    if settings.server.proxy_protocol and not allowed:
        return "proxy_allow_ips", "must name somebody: with proxy-protocol nobody else can connect"
    if not settings.server.proxy_protocol and allowed != ROWS["proxy_allow_ips"].default:
        return "proxy_allow_ips", "is given without proxy-protocol, and no PROXY header would be read"
    return None


def request_id_has_one_source(settings: Settings, _: Host) -> tuple[str, str] | None:
    name = settings.server.request_id.lower()
    if any(text.partition(":")[0].lower() == name for text in settings.server.header):
        return "request_id", f"is different in each response, and header says {settings.server.request_id} in all"
    return None


def directory_exists(settings: Settings, host: Host) -> tuple[str, str] | None:
    if settings.server.app_dir and not host.has_directory(settings.server.app_dir):
        return "app_dir", f"must be a directory that exists, not {settings.server.app_dir!r}"
    return None


def watched_directories_exist(settings: Settings, host: Host) -> tuple[str, str] | None:
    missing = [path for path in settings.daemon.reload_dir if not host.has_directory(path)]
    if missing:
        return "reload_dir", f"must be directories that exist, not {', '.join(map(repr, missing))}"
    return None


def watching_is_asked_for(settings: Settings, _: Host) -> tuple[str, str] | None:
    """What says how to watch is of no use where nothing is watched."""
    for name in ("reload_dir", "reload_include", "reload_exclude", "reload_delay"):
        if not settings.daemon.reload and ROWS[name].of(settings) != ROWS[name].default:
            return name, "is given without reload, and no file would be watched"
    return None


def import_path_exists(settings: Settings, host: Host) -> tuple[str, str] | None:
    missing = [path for path in settings.daemon.pythonpath if not host.has_path(path)]
    if missing:
        return "pythonpath", f"must be directories or archives that exist, not {', '.join(map(repr, missing))}"
    return None


def env_file_is_sound(settings: Settings, host: Host) -> tuple[str, str] | None:
    problem = host.env_file_problem(settings.daemon.env_file) if settings.daemon.env_file else None
    return ("env_file", problem) if problem else None


def log_config_is_sound(settings: Settings, host: Host) -> tuple[str, str] | None:
    problem = host.log_config_problem(settings.server.log_config) if settings.server.log_config else None
    return ("log_config", problem) if problem else None


def access_log_has_a_place(settings: Settings, host: Host) -> tuple[str, str] | None:
    path = settings.server.access_log
    directory = str(Path(path).parent)
    if path in ("off", "-", "stderr") or host.has_directory(directory):
        return None
    return "access_log", f"must be in a directory that exists, and {directory!r} does not"


def parser_is_installed(settings: Settings, host: Host) -> tuple[str, str] | None:
    return installed("http", settings.server.http, "auto or h11", host)


def loop_is_installed(settings: Settings, host: Host) -> tuple[str, str] | None:
    return installed("loop", settings.server.loop, "auto or asyncio", host)


def installed(name: str, chosen: str, others: str, host: Host) -> tuple[str, str] | None:
    """A rule's answer if the chosen package is not there; `auto` takes what is."""
    if chosen != "auto" and not host.has_module(chosen):
        return name, f"must be {others} here: {chosen} is not installed for this Python"
    return None


def tls_is_usable(settings: Settings, host: Host) -> tuple[str, str] | None:
    return host.tls_problem(settings.server)


def user_can_be_had(settings: Settings, host: Host) -> tuple[str, str] | None:
    return host.identity_problem(settings.daemon.user, settings.daemon.group)


RULES: Final[Sequence[Rule]] = (
    jitter_needs_a_limit,
    workers_are_within_their_bound,
    spread_fits_into_the_drain,
    request_line_fits_into_the_head,
    factory_is_said_once,
    addresses_are_distinct,
    descriptors_are_not_the_outputs,
    proxies_are_named,
    request_id_has_one_source,
    directory_exists,
    watched_directories_exist,
    watching_is_asked_for,
    import_path_exists,
    env_file_is_sound,
    log_config_is_sound,
    access_log_has_a_place,
    parser_is_installed,
    loop_is_installed,
    tls_is_usable,
    user_can_be_had,
)


def contradictions(settings: Settings, host: Host) -> list[tuple[str, str]]:
    """Everything that cannot be, as (setting's name, what is wrong)."""
    return [problem for rule in RULES if (problem := rule(settings, host)) is not None]
