"""What the frameworks came to, as the page contrib/docs/FRAMEWORKS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.frameworks.checks import CHECKS
from tests.frameworks.drive import FRAMEWORKS, Result

PAGE = Path(__file__).parents[2] / "contrib" / "docs" / "FRAMEWORKS.md"

HEAD = """\
# Frameworks

One small application each, run by the real daemon (`supervisor-d run`, one worker) under both parsers, and what its
clients saw. The applications are in `tests/frameworks/apps`, the clients in `tests/frameworks/checks.py`:

- HTTP: a query, JSON both ways, 404, two requests on one connection.
- streaming, server-sent events: the first parts of a response that never ends; then the client goes away.
- leaving clients: 50 that leave streams on which nothing happens, by a close and by a reset; no stream is kept.
- multipart upload: a form with a field and a file of 300 KB.
- WebSocket: text and binary (100 KB) echoed, closed by the application with 4001 and by the client with 1000.
- stop: SIGTERM with two endless streams, two of server-sent events, two WebSockets and an idle client connected. The
  daemon exits with 0 within `graceful-timeout`, no worker had to be terminated, and both WebSockets were closed with
  1012. Streams go on until the part of the budget that is kept for the end, so the time is meant to be just below it.
- In none of it does an application fail (`request.failed` in the log).

`python -m tests.frameworks` makes a virtual environment with the pinned versions, runs everything in about two minutes
and writes this page; it exits with 1 if a check fails. The test suite runs FastAPI and Starlette besides.
"""


def render(results: Sequence[Result], versions: Mapping[str, str], python: str, graceful_s: float) -> str:
    """The whole page."""
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    heading = ["framework", "parser", *CHECKS, f"stop, of {graceful_s:g} s"]
    lines = [HEAD, f"CPython {python}; {told}.\n", f"| {' | '.join(heading)} |", "|---" * len(heading) + "|"]
    for result in results:
        name = f"{result.framework} {versions[FRAMEWORKS[result.framework]]}"
        passed = ["**fails**" if check in result.faults else "passes" for check in CHECKS]
        failed_end = "stop" in result.faults or "log" in result.faults
        end = "**fails**" if failed_end else f"{result.stop_s:.1f} s"
        lines.append(f"| {' | '.join([name, result.parser, *passed, end])} |")
    return "\n".join(lines) + "\n"
