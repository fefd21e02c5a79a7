"""One framework under one parser: the real daemon, the checks, and a stop with its long-lived clients connected."""

from __future__ import annotations

import http.client
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.frameworks.checks import CHECKS, Address, asked, close_code, opened
from tests.helpers.daemon import DEADLINE_S, Daemon, running

APPS = Path(__file__).parent / "apps"

FRAMEWORKS = {
    "FastAPI": "fastapi",
    "Starlette": "starlette",
    "Django with Channels": "django",
    "Litestar": "litestar",
    "Quart": "quart",
}
"""Name -> distribution; its application is apps/DISTRIBUTION_app.py."""

STOP_SLACK_S = 5.0
"""What a stop may take beyond graceful-timeout: for the ends of processes on a slow machine. Chosen; no evidence."""


@dataclass
class Result:
    framework: str
    parser: str
    faults: dict[str, str]
    """Of each check that failed, why."""
    stop_s: float = 0.0


def drive(framework: str, parser: str, graceful_s: float, python: str = sys.executable) -> Result:
    """Run every check against a daemon of its own, then stop it."""
    result = Result(framework, parser, {})
    flags = ("--http", parser, "--workers", "1", "--graceful-timeout", f"{graceful_s:g}s", "--app-dir", str(APPS))
    with running(*flags, app=f"{FRAMEWORKS[framework]}_app:app", python=python) as daemon:
        daemon.heard.expect("worker.ready")
        for name, check in CHECKS.items():
            try:
                check(daemon.address())
            except (AssertionError, OSError, http.client.HTTPException, TimeoutError) as error:
                result.faults[name] = f"{type(error).__name__}: {error}"
        try:
            result.stop_s = stop(daemon, daemon.address(), graceful_s)
        except AssertionError as error:
            result.faults["stop"] = str(error)
        failed = daemon.heard.named("request.failed")
        if failed:
            result.faults["log"] = f"request.failed: {failed[0]}"
    return result


def stop(daemon: Daemon, address: Address, graceful_s: float) -> float:
    """Seconds that a stop takes with streams, events, WebSockets and an idle client connected."""
    with ExitStack() as clients:
        streams = [clients.enter_context(asked(address, "GET", path)) for path in ("/stream", "/events") * 2]
        sockets = [clients.enter_context(opened(address)) for _ in range(2)]
        idle = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
        clients.callback(idle.close)
        idle.request("GET", "/hello?name=you")
        assert idle.getresponse().read() == b"hello you"
        for stream in streams:
            assert stream.readline()
        began_at = time.monotonic()
        daemon.signal(signal.SIGTERM)
        codes = [close_code(socket) for socket in sockets]
        assert daemon.wait() == 0, daemon.transcript()
        took = time.monotonic() - began_at
    assert codes == [1012, 1012], f"the WebSockets were closed with {codes}"
    assert took < graceful_s + STOP_SLACK_S, f"the stop took {took:.1f} s"
    forced = [name for name in daemon.heard.names() if name in ("worker.terminated", "worker.killed")]
    assert not forced, forced
    return took
