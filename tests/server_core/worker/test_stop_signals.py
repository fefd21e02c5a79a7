"""An application hears of its worker's drain by whichever way it waits, and none of them stops the worker."""

from __future__ import annotations

import signal

import pytest

from tests.helpers.worker import spawned

APP = "tests.apps.noticing:app"

HEARD = {
    "nothing": [],
    "import": [f"handler {signal.SIGTERM}"],
    "import-int": [f"handler {signal.SIGINT}"],
    "start-up": [f"handler {signal.SIGTERM}"],
    "loop": ["loop"],
    "uvicorn": ["uvicorn"],
    "exit": [],
    "fail": [],
}
"""What is said by the ways that an application may install, besides the extension, which always is."""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("way", HEARD)
def test_a_drain_is_heard_by_every_way(way: str, loop: str) -> None:
    with spawned(APP, environ={"WAY": way}, loop=loop) as worker:
        worker.serving()
        with worker.begin("/") as waiting:
            worker.gate.expect("waiting")
            worker.tell("drain", {"timeout_s": 600, "final": True})
            for word in HEARD[way]:
                worker.gate.expect(word)
            assert waiting.answer() == (200, "draining True")
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0
        assert ("application.signal_failed" in worker.stderr) is (way == "fail")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_handler_that_a_request_installs_is_called_in_the_drain_and_not_by_sigterm(loop: str) -> None:
    with spawned(APP, environ={"WAY": "import-int"}, loop=loop) as worker:
        worker.serving()
        worker.signal(signal.SIGINT)
        worker.signal(signal.SIGTERM)
        worker.expect("recycle")
        with worker.begin("/late"):
            worker.gate.expect("waiting")
            worker.tell("drain", {"timeout_s": 600, "final": True})
            worker.gate.expect(f"handler {signal.SIGTERM}")
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("path", ["/installs", "/removes"])
def test_whatever_a_request_does_with_the_handler_sigterm_reaches_the_worker(path: str, loop: str) -> None:
    with spawned(APP, environ={"WAY": "nothing"}, loop=loop) as worker:
        worker.serving()
        with worker.begin(path) as request:
            assert request.answer() == (200, "taken back")
        worker.signal(signal.SIGTERM)
        worker.expect("recycle")
        worker.tell("drain", {"timeout_s": 600, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0
