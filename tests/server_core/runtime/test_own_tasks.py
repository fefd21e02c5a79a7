"""An application that cancels every task, or makes tasks in its own way, does not end its worker by that."""

from __future__ import annotations

import pytest

from tests.helpers.worker import spawned

both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@both_loops
@pytest.mark.parametrize("name", ["at_its_shutdown", "with_a_factory"])
def test_the_end_of_a_worker_is_not_the_applications(name: str, loop: str) -> None:
    with spawned(f"tests.apps.cancelling:{name}", loop=loop) as worker:
        worker.serving()
        worker.tell("drain", {"timeout_s": 20, "final": True})
        worker.expect("draining", "finished")
        assert worker.expect("drained").fields == {}
        assert worker.exit_code() == 0
        assert "Traceback" not in worker.stderr


@both_loops
def test_a_request_that_cancels_every_task_ends_none_of_the_servers(loop: str) -> None:
    with spawned("tests.apps.cancelling:in_a_request", loop=loop) as worker:
        worker.serving()
        assert worker.get("/cancel") == (200, "ok")
        assert worker.get("/") == (200, "ok")
        worker.tell("drain", {"timeout_s": 20, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


@both_loops
def test_a_health_probe_does_not_need_the_applications_task_factory(loop: str) -> None:
    with spawned("tests.apps.cancelling:with_a_factory", loop=loop, health_path="/") as worker:
        worker.expect("booted", "started", "ready")
