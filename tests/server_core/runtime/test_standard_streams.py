"""No client is sent what the worker, or the application, writes to its standard streams, also if these were closed."""

from __future__ import annotations

import http.client

import pytest

from tests.helpers.worker import DEADLINE_S, spawned


def ask(client: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    client.request("GET", path)
    answer = client.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_client_gets_the_number_of_a_stream_that_was_closed(loop: str) -> None:
    with spawned("tests.apps.closing:app", loop=loop) as worker:
        worker.serving()
        assert worker.get("/close") == (200, "ok")
        clients = [http.client.HTTPConnection(*worker.address, timeout=DEADLINE_S) for _ in range(4)]
        try:
            for client in clients:
                assert ask(client, "/") == (200, b"ok")
            assert ask(clients[3], "/fail")[0] == 500
            for client in clients[:3]:  # whatever else was sent to them comes before this answer
                assert ask(client, "/") == (200, b"ok")
        finally:
            for client in clients:
                client.close()
        worker.tell("drain", {"timeout_s": 20, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0
