"""The pool: one hand-over for each request, more threads where the first ones wait, none that keeps the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from server_core.errors import UsageError
from server_core.settings.declaration import ServerSettings
from server_core.standalone.arguments import settings_from
from server_core.wsgi.size import threads_of
from server_core.wsgi.stuck import StuckThreads
from server_core.wsgi.threads import Pool
from tests.helpers.http import DEADLINE_S, Heard, parse_responses
from tests.helpers.wsgi import Client, Environ, Start, ask, request, serving

PLAIN = ("Content-Type", "text/plain")


class Gated:
    """Holds each request until the test says how many may go."""

    def __init__(self) -> None:
        self.begun, self.gate = threading.Semaphore(0), threading.Semaphore(0)
        self.names: set[str] = set()

    def __call__(self, environ: Environ, start_response: Start) -> list[bytes]:
        self.names.add(threading.current_thread().name)
        if environ["PATH_INFO"] == "/":
            self.begun.release()
            assert self.gate.acquire(timeout=DEADLINE_S)
        start_response("200 OK", [PLAIN])
        return [b"done"]

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=DEADLINE_S)


def test_as_many_run_at_once_as_there_are_threads_and_the_others_wait() -> None:
    app = Gated()
    with serving(app, threads=3) as server:
        clients = [Client(server) for _ in range(8)]
        for client in clients:
            client.send(request(fields=b"connection: close\r\n"))
        app.wait(3)
        assert not app.begun.acquire(blocking=False)
        app.gate.release(8)
        for client in clients:
            with client:
                assert parse_responses(client.rest())[0].body == b"done"
    assert len(app.names) == 3
    assert all(name.startswith("wsgi-") for name in app.names)


def test_limit_concurrency_counts_what_runs_and_what_waits() -> None:
    app = Gated()
    with serving(app, threads=2, limit_concurrency=4) as server:
        clients = []
        for _ in range(4):
            clients.append(Client(server))
            clients[-1].send(request(fields=b"connection: close\r\n"))
        app.wait(2)
        while (response := ask(server, request(path="/probe"))).status != 503:
            assert response.body == b"done"  # the last of the four had not been read
        assert response.headers["retry-after"] == "1"
        app.gate.release(4)
        for client in clients:
            with client:
                assert parse_responses(client.rest())[0].body == b"done"
        assert ask(server, request(path="/free")).body == b"done"


def test_request_timeout_answers_504_while_the_thread_goes_on() -> None:
    app = Gated()
    with serving(app, threads=2, request_timeout=1.0) as server:
        assert ask(server, request()).status == 504
        assert ask(server, request(path="/next")).body == b"done"
        app.gate.release()


def test_a_drain_waits_for_the_threads() -> None:
    app = Gated()
    with serving(app, threads=2) as server:
        client = Client(server)
        client.send(request())
        app.wait(1)
        server.stop()
        app.gate.release()
        with client:
            assert parse_responses(client.rest())[0].body == b"done"


def test_a_thread_that_never_ends_does_not_keep_the_server() -> None:
    app = Gated()
    with serving(app, threads=2, graceful_timeout=0.2) as server:
        client = Client(server)
        client.send(request())
        app.wait(1)
    app.gate.release()
    client.sock.close()


def test_the_number_is_one_to_a_thousand_or_auto(tmp_path: Path) -> None:
    assert ServerSettings().threads == 10
    cgroup = tmp_path / "sys/fs/cgroup"
    cgroup.mkdir(parents=True)
    (cgroup / "cpu.max").write_text("100000 100000\n")
    assert threads_of(0, tmp_path) == 5
    (cgroup / "cpu.max").write_text("max 100000\n")
    assert 5 <= threads_of(0, tmp_path) <= 32
    assert threads_of(7) == 7


def test_a_thread_that_is_stuck_is_told_once_with_its_stack_and_the_pools_figures() -> None:
    begun, gate = threading.Event(), threading.Event()

    class Job:
        def work(self) -> None:
            begun.set()
            assert gate.wait(DEADLINE_S)

    class Never:
        def call_later(self, when: float, callback: Callable[[], object], /) -> object:
            raise NotImplementedError

    pool, heard = Pool(1, Never()), Heard()
    pool.submit(Job())
    assert begun.wait(DEADLINE_S)
    watch = StuckThreads(pool, heard, dict)  # type: ignore[arg-type]  # asked of calls alone
    ((since, _),) = pool.running.values()
    watch.look(since + 29)
    assert heard.events == []
    watch.look(since + 41)
    watch.look(since + 42)
    (told,) = heard.all("thread.stuck")
    stack = str(told.pop("stack"))
    assert "gate.wait(DEADLINE_S)" in stack or "in wait" in stack
    assert told == {"duration_s": 41.0, "busy": 1, "threads": 1, "queued": 0, "oldest_s": 41.0}
    gate.set()
    pool.close()


@pytest.mark.parametrize("given", ["0", "1001", "-1", "many"])
def test_another_number_is_refused_by_name(given: str) -> None:
    with pytest.raises(UsageError, match="threads: must be a whole number from 1 to 1000, or auto"):
        settings_from({"threads": given})
