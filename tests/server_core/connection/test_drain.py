"""In a drain, what would never end by itself ends at a moment of its own, and what has an end is finished."""

from __future__ import annotations

import http.client
import socket
from types import SimpleNamespace

import pytest

from server_core.connection.drain import Partings
from tests.helpers.worker import DEADLINE_S, WorkerProcess, spawned

APP = "tests.apps.pushing:app"
EVENTS = "text/event-stream; charset=utf-8"
DRAIN = {"timeout_s": 600, "final": True}


def ask(worker: WorkerProcess, method: str, kind: str, way: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(*worker.address, timeout=DEADLINE_S)
    connection.request(method, f"/?kind={kind.replace(' ', '%20').replace(';', '%3B')}&way={way}")
    worker.gate.expect("streaming")
    return connection


ENDS = {"waits": "CancelledError", "listens": "disconnected", "saves": "saved", "writes": "CancelledError"}


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize("kind", [EVENTS, "multipart/x-mixed-replace"])
def test_a_push_stream_ends_whole_and_its_application_like_one_whose_client_left(
    kind: str, way: str, parser: str
) -> None:
    with spawned(APP, http=parser) as worker:
        worker.serving()
        connection = ask(worker, "GET", kind, way)
        worker.tell("drain", DRAIN)
        worker.expect("draining")
        assert connection.getresponse().read().startswith(b"data: 0\n\n")  # IncompleteRead, if it were cut
        worker.gate.expect(ENDS[way])
        worker.expect("finished", "drained")
        assert worker.exit_code() == 0
        assert "request.failed" not in worker.stderr
        connection.close()


@pytest.mark.parametrize(("method", "kind"), [("POST", EVENTS), ("GET", "text/csv"), ("GET", "application/x-ndjson")])
def test_a_stream_that_has_an_end_is_finished(method: str, kind: str) -> None:
    with spawned(APP, drain_spread=0.1) as worker:
        worker.serving()
        bystander = ask(worker, "GET", EVENTS, "waits")
        connection = ask(worker, method, kind, "ends")
        worker.tell("drain", DRAIN)
        worker.gate.expect("CancelledError")  # the one beside it has had its moment, and more
        bystander.close()
        worker.gate.open()
        assert connection.getresponse().read() == b"data: 0\n\ndata: end\n\n"
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0
        connection.close()


def test_a_push_stream_that_begins_in_the_drain_ends_too() -> None:
    with spawned(APP, drain_spread=0.1) as worker:
        worker.serving()
        first = ask(worker, "GET", "text/csv", "ends")
        with socket.create_connection(worker.address, timeout=DEADLINE_S) as late:
            late.sendall(b"GET /?kind=text/event-stream&way=waits HTTP/1.1\r\n")
            worker.fence()
            worker.tell("drain", DRAIN)
            worker.expect("draining")
            late.sendall(b"Host: test\r\n\r\n")
            worker.gate.expect("streaming")
            worker.gate.expect("CancelledError")
        worker.gate.open()
        assert first.getresponse().read().endswith(b"end\n\n")
        worker.expect("finished", "drained")
        first.close()


@pytest.mark.parametrize(("final", "first_s", "last_s"), [(True, 0.5, 0.6), (False, 2.5, 5.0)])
def test_moments_are_spread_over_the_end_of_the_window_and_leave_time_for_notice(
    final: bool, first_s: float, last_s: float
) -> None:
    moments: list[float] = []
    loop = SimpleNamespace(time=lambda: 100.0, call_at=lambda at, _end: moments.append(at - 100.0))
    idle = [SimpleNamespace(is_idle=True, close_if_idle=list) for _ in range(100)]
    settings = SimpleNamespace(drain_spread=0.0, graceful_timeout=30.0)
    server = SimpleNamespace(loop=loop, settings=settings, connections=idle)
    Partings(server).plan(25.0, final=final)  # type: ignore[arg-type]  # all that it asks of one
    assert moments == sorted(moments)
    assert (round(moments[0], 1), round(moments[-1], 1)) == (first_s, last_s)
