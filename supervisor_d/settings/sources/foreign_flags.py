"""What gunicorn and uvicorn call an option, and how it is said here: a hint for those who come from there. Pure.

Aliases were rejected: each setting would then have several names, in scripts, in the log and in questions. What has
no counterpart at all is told so only where its name is the first thing that people try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from supervisor_d.settings.sources.provenance import near_misses

BIND: Final = "--bind HOST:PORT"
ONE_KIND: Final = "every worker serves ASGI and WSGI"
STDERR: Final = "the log goes to standard error"
FOREGROUND: Final = "it stays in the foreground; whoever starts it (systemd, a container) does that"

HERE: Final[Mapping[str, str]] = {
    "--host": BIND,
    "--port": BIND,
    "--uds": "--bind unix:PATH",
    "--fd": "--bind fd://N",
    "--reload": "`supervisor-d ctl reload`",
    "--preload-app": "--preload",
    "--worker-class": ONE_KIND,
    "-k": ONE_KIND,
    "--worker-connections": "--limit-connections",
    "--proxy-headers": "--forwarded-headers",
    "--no-proxy-headers": "--forwarded-headers off",
    "--proxy-allow-from": "--proxy-allow-ips",
    "--header-map": "--underscore-headers",
    "--certfile": "--ssl-certfile",
    "--keyfile": "--ssl-keyfile",
    "--ca-certs": "--ssl-ca-certs",
    "--cert-reqs": "--ssl-cert-reqs",
    "--ciphers": "--ssl-ciphers",
    "--timeout-keep-alive": "--keep-alive",
    "--timeout-graceful-shutdown": "--graceful-timeout",
    "--timeout-worker-healthcheck": "--timeout",
    "--limit-max-requests": "--max-requests",
    "--limit-max-requests-jitter": "--max-requests-jitter",
    "--limit-request-field_size": "--limit-header-bytes",
    "--h11-max-incomplete-event-size": "--limit-header-bytes",
    "--access-logfile": "--access-log",
    "--access-logformat": "--access-log-format",
    "--no-access-log": "--access-log off",
    "--error-logfile": STDERR,
    "--log-file": STDERR,
    "--daemon": FOREGROUND,
    "-D": FOREGROUND,
    "--pid": "--pid-file",
}
"""Flag elsewhere: what does the same here."""

SPELT: Final[Mapping[str, str]] = {flag.replace("_", "-"): flag for flag in HERE}
"""The same flags, spelt as our settings are."""


def hint(flag: str) -> str | None:
    """How to say here what a flag says elsewhere; None if nobody calls anything so."""
    return f"No such option {flag!r}; here: {HERE[flag]}." if flag in HERE else None


def suggestion(wrong: str, accepted: Iterable[str]) -> str:
    """The end of a message about a name that is no setting, in a file, a variable or a Python call; may be empty.

    The name elsewhere first: to someone who wrote `reload = true`, `preload` would be wrong advice.
    """
    flag = SPELT.get("--" + wrong.replace("_", "-"))
    return f"; here: {HERE[flag]}" if flag else near_misses(wrong, accepted)
