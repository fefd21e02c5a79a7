"""WSGI under the daemon: reloads and recycles under load lose nothing, and its status tells of threads."""

from __future__ import annotations

import http.client
import json
import signal
import threading

import pytest

from tests.helpers.daemon import DEADLINE_S, running

RELOADS = 5
CLIENTS = 4


class Load:
    """Clients that keep their connections and ask until they are told to stop; what was lost is counted."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._is_over = threading.Event()
        self.answered = 0
        self.lost: list[object] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=DEADLINE_S)
        while not self._is_over.is_set():
            try:
                connection.request("POST", "/a?b=c", b"body")
                answer = connection.getresponse()
                if (answer.status, answer.read()) != (201, b"POST |/a?b=c body"):
                    self.lost.append(answer.status)
                self.answered += 1
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)
                connection.close()
        connection.close()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_reloads_and_recycles_lose_nothing(threads: str) -> None:
    flags = ("--workers", "2", "--threads", threads, "--max-requests", "500")
    with running(*flags, app="tests.apps.loadable:wsgi") as daemon:
        daemon.heard.expect("worker.ready", times=2)
        load = Load(daemon.address())
        try:
            for _ in range(RELOADS):
                daemon.signal(signal.SIGHUP)
                daemon.heard.expect("reload.committed")
        finally:
            load.stop()
        assert load.lost == []
        assert load.answered


def test_the_status_tells_of_threads() -> None:
    with running("--workers", "1", "--threads", "4", app="tests.apps.loadable:wsgi") as daemon:
        daemon.heard.expect("worker.ready")
        assert "0 of 4 threads busy, 0 requests wait for one" in daemon.ctl("status").stdout
        (slot,) = json.loads(daemon.ctl("status", "--json").stdout)["slots"]
        assert slot["threads"] == {"most": 4, "busy": 0, "queued": 0}
        assert daemon.heard.named("application.detected")
