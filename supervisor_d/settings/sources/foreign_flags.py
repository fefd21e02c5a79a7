"""What other servers call an option, and how it is said here: a hint for those who come from there. Pure.

The names are those of the tables in compat/options, in whatever spelling they are given: a flag, a key of a file, a
variable or a keyword. Aliases were rejected: each setting would then have several names, in scripts, in the log and in
questions. The tables are loaded only when a name is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from supervisor_d.settings.sources.provenance import near_misses

if TYPE_CHECKING:
    from supervisor_d.compat.options.table import PeerOption

GUNICORN: Final[Mapping[str, str]] = {
    "--preload-app": "--preload",
    "--worker-class": "every worker serves ASGI and WSGI",
    "-k": "every worker serves ASGI and WSGI",
    "--worker-connections": "--limit-connections",
    "--proxy-allow-from": "--proxy-allow-ips",
    "--header-map": "--underscore-headers",
    "--limit-request-field_size": "--limit-header-bytes",
    "--do-handshake-on-connect": "it is always done in the event loop, within --header-timeout",
    "--max-worker-lifetime": "--max-age",
    "-n": "--proc-title",
    "--env": "--env-file FILE, or the environment of the daemon",
    "-e": "--env-file FILE, or the environment of the daemon",
    "--reuse-port": "workers share one socket, and accept in turns (--fair-accept)",
    "--worker-tmp-dir": "no files are needed: workers beat in shared memory",
    "--paste": "APP is module:attribute",
    "--print-config": "`supervisor-d config`",
    "--check-config": "`supervisor-d check`",
    "--spew": "PYTHONFAULTHANDLER, or a debugger (DEBUGGING.md)",
    "--disable-redirect-access-to-syslog": "--log-config with a SysLogHandler",
    "--log-syslog": "--log-config with a SysLogHandler",
    "--capture-output": "workers write to the daemon's own standard output and error",
    "--enable-stdio-inheritance": "workers write to the daemon's own standard output and error",
    "--forwarder-headers": "--forwarded-headers",
    "--dogstatsd-tags": "--statsd-tags",
}
"""gunicorn's flags of which no table knows."""

PYTHON_FILE: Final = (
    "is a Python file, as gunicorn and Hypercorn have them, and settings are read from TOML here; "
    "{path} is not executed"
)


def called(name: str) -> list[tuple[str, PeerOption]]:
    """(server, option) of each server that has an option of this name or flag."""
    from supervisor_d.compat.options.table import PEERS

    wanted, found = _plain(name), []
    for peer in PEERS:
        module = f"supervisor_d.compat.options.{peer}"
        table: Mapping[str, PeerOption] = import_module(module).OPTIONS if find_spec(module) else {}
        for option in table.values():
            if name in option.flags or (not _is_short(name) and wanted in set(_spellings(option))):
                found.append((peer, option))
                break
    return found


def _spellings(option: PeerOption) -> Iterator[str]:
    yield _plain(option.name)
    yield from (_plain(flag) for flag in option.flags if flag.startswith("--"))


def _plain(name: str) -> str:
    return name.removeprefix("--").replace("_", "-").lower()


def _is_short(name: str) -> bool:
    return name.startswith("-") and not name.startswith("--")


def here(name: str) -> str | None:
    """How to say here what another server calls so; None if none does."""
    told: dict[str, list[str]] = {}
    for peer, option in called(name):
        told.setdefault(_told(option), []).append(peer)
    if not told:
        known = {_plain(flag): said for flag, said in GUNICORN.items() if not _is_short(flag)}
        return GUNICORN.get(name) or (None if _is_short(name) else known.get(_plain(name)))
    if len(told) == 1:
        return next(iter(told))
    return "; ".join(f"{said} ({', '.join(peers)})" for said, peers in told.items())


def _told(option: PeerOption) -> str:
    """One option's answer, without the full stop at its end."""
    ours = " and ".join(f"--{name}" for name in option.ours)
    difference = option.difference.removesuffix(".")
    if not ours or difference.startswith("--"):
        return difference or "has no counterpart"
    return f"{ours}: {difference}" if difference else ours


def suggestion(wrong: str, accepted: Iterable[str]) -> str:
    """The end of a message about a name that is no setting, wherever it stands; may be empty.

    The name elsewhere first: to someone who wrote `reload = true`, `preload` would be wrong advice.
    """
    accepted = tuple(accepted)
    is_misspelt = _plain(wrong) in map(_plain, accepted)
    said = None if is_misspelt else here(wrong)
    return f"; here: {said}" if said else near_misses(wrong, accepted)
