"""Everything the server core raises on purpose; each error says whose fault it is and carries its exit code."""

from __future__ import annotations

import importlib
import os
import traceback
from typing import Final

from server_core.exit_codes import EXIT_BOOT_FAILED, EXIT_INTERNAL, EXIT_LISTENER, EXIT_USAGE


class ServerError(Exception):
    """Base of every error below; its text is for the person who can mend it."""

    exit_code: int = EXIT_INTERNAL


class UsageError(ServerError):
    """The operator's: an option or an application's name that is ill-formed or impossible here."""

    exit_code = EXIT_USAGE


class ListenerError(ServerError):
    """The host's or the operator's: an address that cannot be bound, or a descriptor that is no listener."""

    exit_code = EXIT_LISTENER


class ContractError(ServerError):
    """The master's: what came through the pipe is no worker spec, or names what is not there."""


class BootError(ServerError):
    """The application's: it could not boot. `stage` is import, lifespan or probe; the text may be a traceback."""

    exit_code = EXIT_BOOT_FAILED

    def __init__(self, stage: str, report: str) -> None:
        super().__init__(report)
        self.stage = stage
        self.report = report


class Unfit(BootError):
    """What the application's name leads to is no application; `load()` adds which file it came from."""

    def __init__(self, report: str) -> None:
        super().__init__("import", report)


_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_EXAMPLE: Final = _PACKAGE + "example.py"


def is_own(filename: str) -> bool:
    """True for code that carried the application there: this package, and the import system."""
    if filename.startswith("<frozen importlib") or filename == importlib.__file__:
        return True
    return filename.startswith(_PACKAGE) and filename != _EXAMPLE


def application_traceback(error: BaseException) -> str:
    """The traceback as the application's author wants it: from the first frame that is not ours.

    Only leading frames go, of the error and of every error it came from: a frame of ours further in (an application
    that called `send` wrongly) is part of the story.
    """
    report = traceback.TracebackException.from_exception(error)
    _strip(report, set())
    return "".join(report.format()).rstrip("\n")


def _strip(report: traceback.TracebackException, seen: set[int]) -> None:
    if id(report) in seen:
        return
    seen.add(id(report))
    while report.stack and is_own(report.stack[0].filename):
        del report.stack[0]
    for origin in (report.__cause__, report.__context__, *(report.exceptions or ())):
        if origin is not None:
            _strip(origin, seen)


def cause_of(error: BaseException) -> str:
    """What code outside a request did to end the process, for a log line."""
    return f"the application raised {error!r}" if isinstance(error, (SystemExit, KeyboardInterrupt)) else str(error)
