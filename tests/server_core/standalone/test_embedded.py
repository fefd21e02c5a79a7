"""A server inside of a program: in its event loop, in a thread, again and again, and without touching its signals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

import server_core
from server_core.errors import BootError, ListenerError, UsageError
from server_core.runtime import event_loop

ROOT = Path(__file__).parents[3]


class App:
    """Counts its lifespans."""

    def __init__(self) -> None:
        self.lives: list[str] = []

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                self.lives.append(event)
                await send({"type": f"lifespan.{event}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})


def facts() -> tuple[object, ...]:
    wake_up = signal.set_wakeup_fd(-1)
    if wake_up != -1:
        signal.set_wakeup_fd(wake_up)
    handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    return handlers, wake_up, signal.pthread_sigmask(signal.SIG_BLOCK, ())


def asked(address: str, path: str = "") -> bytes:
    with urllib.request.urlopen(f"http://{address}/{path}") as response:
        body: bytes = response.read()
        return body


def descriptors() -> set[str]:
    gc.collect()  # what earlier tests have left is closed before it is counted, and not in between
    return {name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")}


def test_twenty_servers_in_one_loop_leave_it_as_it_was() -> None:
    async def scenario() -> None:
        app, loop = App(), asyncio.get_running_loop()
        await loop.run_in_executor(None, int)  # its thread and its descriptors come first
        before, opened = facts(), descriptors()
        for number in range(20):
            server = server_core.serve(app, bind=["127.0.0.1:0", "127.0.0.1:0"], log_level="error")
            assert not server.started
            async with server:
                assert server.started
                assert facts() == before
                first, second = server.addresses
                assert [await loop.run_in_executor(None, asked, each) for each in (first, second)] == [b"here"] * 2
                if number == 0:
                    server.stop()
                    server.stop()
            assert not server.started
        assert (facts(), descriptors()) == (before, opened)
        assert app.lives == ["startup", "shutdown"] * 20
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


class Slow(App):
    """Answers no request before it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            self.lives.append("request")
            self.asked.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.lives.append("cancelled")
        await super().__call__(scope, receive, send)


@pytest.mark.parametrize("how", ["forgotten", "raises", "cancelled twice"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_ends_the_program_ends_the_server_in_order(
    how: str, loop: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C is one: asyncio.run() cancels the main task, and then whatever is left, in any order."""
    _, factory = event_loop.choose(loop)
    factory().close()  # libuv keeps descriptors from its first loop on
    app, opened = Slow(), descriptors()

    async def serve(up: asyncio.Event) -> None:
        async with server_core.serve(app, bind=f"unix:{tmp_path}/s", log_level="error"):
            up.set()
            await asyncio.Event().wait()

    async def main(client: socket.socket) -> None:
        up = asyncio.Event()
        task = asyncio.create_task(serve(up))
        await up.wait()
        if how == "forgotten":
            return
        client.connect(f"{tmp_path}/s")
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await app.asked.wait()
        if how == "raises":
            raise ZeroDivisionError
        for _ in range(2):
            task.cancel()
            await asyncio.wait({task}, timeout=0.01)
        await asyncio.wait({task})
        assert task.cancelled()
        assert not (tmp_path / "s").exists()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    runner = asyncio.Runner(loop_factory=factory)
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(ZeroDivisionError), runner:
        runner.run(main(client))
    requests = [] if how == "forgotten" else ["request", "cancelled"]
    assert app.lives == ["startup", *requests, "shutdown"]
    assert not (tmp_path / "s").exists()
    assert descriptors() == opened
    assert caplog.messages == []  # "Task was destroyed but it is pending!"


def test_in_threads_several_serve_at_once() -> None:
    app, before, opened, threads = App(), facts(), descriptors(), threading.enumerate()
    for _ in range(2):
        with server_core.serve(app, bind="127.0.0.1:0", log_level="error", loop="asyncio") as one:
            other = server_core.serve(app, bind="127.0.0.1:0", log_level="error", loop="asyncio")
            with other:
                assert [asked(server.addresses[0]) for server in (one, other)] == [b"here", b"here"]
            assert facts() == before
    assert descriptors() == opened
    assert set(threading.enumerate()) <= set(threads)
    assert app.lives.count("shutdown") == 4


INTERRUPTED = """
import asyncio, os, select, signal, threading
import server_core
from server_core.errors import BootError

new = asyncio.new_event_loop

def interrupting():
    asyncio.new_event_loop = new
    os.kill(os.getpid(), signal.SIGINT)
    select.poll().poll(300)  # the main thread has nothing to say it to by then
    return new()

asyncio.new_event_loop = interrupting
for _ in range(2):
    try:
        with server_core.serve(None, bind="127.0.0.1:0", log_level="error", loop="asyncio", lifespan="off"):
            print("served")
    except (KeyboardInterrupt, BootError) as error:
        print(type(error).__name__, threading.active_count())
"""


def test_an_interrupted_start_leaves_no_server_behind_nor_waits_for_ever() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=30, check=False, cwd=ROOT
    )
    assert ran.stdout == "KeyboardInterrupt 1\nUnfit 1\n", ran.stderr


def test_a_server_that_is_asked_to_stop_first_never_serves() -> None:
    app = App()
    server = server_core.serve(app, bind="127.0.0.1:0", log_level="error")
    server.stop()
    with server:
        assert not server.started
        assert server.addresses == ()
    assert app.lives == []


class Ender(App):
    """Does to the event loop what its paths say, half a request before it answers."""

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        loop = asyncio.get_running_loop()
        match scope.get("path"):
            case "/cancel":
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
            case "/exit":
                loop.call_soon(sys.exit, "out of a callback")
            case "/stop":
                loop.stop()
        if scope["type"] == "http":
            turned = loop.create_future()
            loop.call_later(0.1, turned.set_result, None)
            await turned
        await super().__call__(scope, receive, send)


def test_an_application_that_cancels_all_tasks_does_not_end_the_server_in_a_thread() -> None:
    with server_core.serve(Ender(), bind="127.0.0.1:0", lifespan="off", log_level="error") as server:
        for path in ("cancel", ""):
            assert asked(server.addresses[0], path) == b"here"
        assert server.started


@pytest.mark.parametrize(("path", "told"), [("exit", SystemExit), ("stop", event_loop.LoopStopped)])
def test_an_application_that_ends_the_loop_of_a_thread_loses_no_request(path: str, told: type[BaseException]) -> None:
    app, answers = Ender(), []
    with pytest.raises(told), server_core.serve(app, bind="127.0.0.1:0", log_level="error") as server:
        answers.append(asked(server.addresses[0], path))
    assert answers == [b"here"]
    assert app.lives == ["startup", "shutdown"]


def test_what_is_wrong_is_raised_where_the_block_begins(tmp_path: Path) -> None:
    async def begin(app: object, bind: str) -> None:
        async with server_core.serve(app, bind=bind, log_level="error"):
            pytest.fail("it began")

    with server_core.serve(App(), bind=f"unix:{tmp_path}/s", log_level="error") as server:
        assert server.addresses == (f"unix:{tmp_path}/s",)
        with pytest.raises(ListenerError, match="another process is listening there"):
            asyncio.run(begin(App(), f"unix:{tmp_path}/s"))
        with pytest.raises(RuntimeError, match="can be entered once"):
            server.__enter__()
    assert not (tmp_path / "s").exists()
    with pytest.raises(BootError, match="42 must be callable"), server_core.serve(42, bind="127.0.0.1:0"):
        pytest.fail("it began")


@pytest.mark.parametrize("bind", ["127.0.0.1:70000", "8000", "unix:", "fd://x", "::1:80", []])
def test_a_place_that_is_none_is_refused(bind: str) -> None:
    with pytest.raises(UsageError, match="bind: "):
        server_core.serve(App(), bind=bind)


@pytest.mark.parametrize("port", [70000, -1, "8000", True])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """getaddrinfo(3) would have listened on 4464 instead of 70000."""
    with pytest.raises(UsageError, match=r"port: must be a whole number from 0 to 65535, not "):
        server_core.run(App(), port=port)


CALLS = """
import server_core, supervisor_d
supervisor_d.run("main:app", workers=2, bind=["127.0.0.1:8000"], graceful_timeout="30s", loop="uvloop")
server_core.run(object(), port=0, keep_alive=5)
supervisor_d.run("main:app", wrokers=2)
supervisor_d.run("main:app", loop="uvlop")
server_core.serve(object(), timout=2)
server_core.run(object(), access_log=3)
"""


def test_a_type_checker_refuses_a_keyword_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text(CALLS)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary"]
    environ = {**os.environ, "MYPYPATH": str(ROOT)}
    where = ["--cache-dir", str(ROOT / ".mypy_cache"), str(tmp_path / "calls.py")]
    done = subprocess.run([*command, *where], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    refused = [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line]
    assert refused == ["5", "6", "7", "8"], done.stdout
