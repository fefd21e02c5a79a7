"""The pool: one hand-over for each request, more threads where the first ones wait, none that keeps the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server_core.errors import UsageError
from server_core.settings.declaration import ServerSettings
from server_core.standalone.arguments import settings_from
from server_core.wsgi.served import Alarm, Stuck
from server_core.wsgi.size import threads_of
from server_core.wsgi.stuck import StuckThreads
from server_core.wsgi.threads import Pool
from tests.helpers.certificates import authority, localhost
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


class Again:
    """A job of its own each time."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work


class Held:
    """A pool of two whose threads run a job each until the test is over, and what is told of it."""

    def __init__(self, *, limit_s: float) -> None:
        self._gate, self._begun = threading.Event(), threading.Semaphore(0)
        self.pool, self.heard = Pool(2, self), Heard()
        self.told: list[Stuck] = []
        self.is_heard = True
        self.watch = StuckThreads(self.pool, self.heard, dict, Alarm(limit_s, self._tell))  # type: ignore[arg-type]  # asked of calls alone

    def call_later(self, when: float, callback: Callable[[], object], /) -> object:
        raise NotImplementedError

    def work(self) -> None:
        self._begun.release()
        assert self._gate.wait(DEADLINE_S)

    def occupy(self) -> float:
        """Have one more thread run a job; since when it does."""
        before = set(self.pool.running)
        self.pool.submit(Again(self.work))
        assert self._begun.acquire(timeout=DEADLINE_S)
        (thread,) = set(self.pool.running) - before
        return self.pool.running[thread][0]

    def _tell(self, stuck: Stuck) -> bool:
        self.told.append(stuck)
        return self.is_heard

    def close(self) -> None:
        self._gate.set()
        self.pool.close()


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held(limit_s=30)
    yield made
    made.close()


def test_a_thread_that_is_stuck_is_told_once_with_its_stack_and_the_pools_figures(held: Held) -> None:
    since = held.occupy()
    held.watch.look(since + 29)
    assert (held.heard.events, held.told) == ([], [])
    held.watch.look(since + 41)
    held.watch.look(since + 42)
    (told,) = held.heard.all("thread.stuck")
    stack = str(told.pop("stack"))
    assert "in work" in stack
    assert told == {"duration_s": 41.0, "busy": 1, "threads": 2, "queued": 0, "oldest_s": 41.0}
    (stuck,) = held.told
    assert (stuck.busy, stuck.threads, stuck.queued, stuck.oldest_s) == (1, 2, 0, 41.0)
    assert stuck.where.startswith("wsgi/test_threads.py:")
    assert stuck.where.endswith(" in work")
    assert stack in stuck.stacks


def test_the_master_is_told_of_all_that_are_stuck_and_of_none_twice(held: Held) -> None:
    first = held.occupy()
    held.watch.look(first + 30)
    second = held.occupy()
    held.watch.look(second + 61)
    assert (len(held.heard.all("thread.stuck")), [stuck.busy for stuck in held.told]) == (2, [1, 2])
    held.watch.look(second + 300)
    assert len(held.told) == 2
    assert held.told[1].stacks.count("in work") == 2


def test_another_thread_that_is_stuck_soon_after_waits_for_the_next_word(held: Held) -> None:
    first, second = held.occupy(), held.occupy()
    held.watch.look(first + 30)
    assert len(held.told) == 1
    held.watch.look(second + 30.5)
    held.watch.look(first + 59)
    assert (len(held.heard.all("thread.stuck")), len(held.told)) == (2, 1)
    held.watch.look(first + 60)
    assert len(held.told) == 2


def test_what_the_master_could_not_hear_it_is_told_at_the_next_look(held: Held) -> None:
    since = held.occupy()
    held.is_heard = False
    held.watch.look(since + 30)
    held.is_heard = True
    held.watch.look(since + 31)
    held.watch.look(since + 32)
    assert [stuck.oldest_s for stuck in held.told] == [30.0, 31.0]
    assert len(held.heard.all("thread.stuck")) == 1


def test_without_a_limit_no_thread_is_stuck() -> None:
    held = Held(limit_s=0)
    held.watch.look(held.occupy() + 1e9)
    assert (held.heard.events, held.told) == ([], [])
    held.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_over_tls_threads_write_by_way_of_the_loop(loop: str) -> None:
    """A body of many parts each way, more than any buffer holds, and two requests on one connection."""
    pair = localhost()

    def app(environ: Environ, start_response: Start) -> Iterator[bytes]:
        assert environ["wsgi.url_scheme"] == "https"
        size = sum(map(len, iter(lambda: environ["wsgi.input"].read(65536), b"")))  # type: ignore[attr-defined]  # a file
        start_response("200 OK", [PLAIN])
        for _ in range(64):
            yield b"part" * 16384
        yield b"%d" % size

    tls = {"ssl_certfile": pair.certificate, "ssl_keyfile": pair.key}
    with serving(app, threads=3, loop=loop, **tls) as server, Client(server) as client:
        client.sock = authority().client().wrap_socket(client.sock, server_hostname="localhost")
        client.send(request("POST", "/", body=b"b" * 1_000_000))
        client.send(request("POST", "/", b"connection: close\r\n", b"b" * 1_000_000))
        answers = parse_responses(client.rest())
        assert [answer.body for answer in answers] == [b"part" * 64 * 16384 + b"1000000"] * 2


@pytest.mark.parametrize("given", ["0", "1001", "-1", "many"])
def test_another_number_is_refused_by_name(given: str) -> None:
    with pytest.raises(UsageError, match="threads: must be a whole number from 1 to 1000, or auto"):
        settings_from({"threads": given})
