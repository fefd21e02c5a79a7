"""What the loop calls for the server runs in the server's context, and nothing is registered in any other way."""

from __future__ import annotations

import ast
import asyncio
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest

import server_core
from server_core.runtime.server_loop import NewTask, ServerLoop
from tests.helpers.http import DEADLINE_S, run

LOOPS = ("asyncio", "uvloop")
WHO: ContextVar[str] = ContextVar("WHO", default="nobody")

REGISTERING = frozenset(
    (
        *("call_soon", "call_soon_threadsafe", "call_later", "call_at", "add_reader", "add_writer"),
        *("add_done_callback", "add_signal_handler", "create_task", "ensure_future", "run_coroutine_threadsafe"),
        *("Task", "TaskGroup", "run_in_executor", "to_thread", "create_server", "create_unix_server"),
        *("create_connection", "connect_accepted_socket", "start_tls", "start_server", "sock_accept", "sock_recv"),
        *("sock_sendall", "NewTask", "Thread", "Timer", "ThreadPoolExecutor", "shield", "gather"),
    )
)
"""What keeps the context it is called in, until it calls back or for a task's life. Threads keep it from 3.14 on
where sys.flags.thread_inherit_context says so."""

LOOPS_OF_ASYNCIO = frozenset(
    ("AbstractEventLoop", "get_running_loop", "get_event_loop", "new_event_loop", "get_event_loop_policy")
)

BEFORE_REQUESTS = "registered when the worker starts, before there is a request"
THE_MAIN_TASK = "made by the main task or one of its own, in which no request runs"
THE_PROGRAM = "called by the program that the server is embedded in, in whose context its requests are to begin"
THE_BEAT = "begun by the main task, and by nothing but itself after that"
EXCEPTIONS = {
    ("standalone.runner", "Alone.run", "add_signal_handler"): BEFORE_REQUESTS,
    ("worker.stop_signals", "Notice._take_wake_up", "add_reader"): THE_BEAT,
    ("worker.worker", "Worker.run", "add_reader"): BEFORE_REQUESTS,
    ("worker.exit", "watch", "Thread"): THE_MAIN_TASK,
    ("standalone.embedded", "EmbeddedServer.__aenter__", "Task"): THE_PROGRAM,
    ("standalone.embedded", "EmbeddedServer.__enter__", "Thread"): THE_PROGRAM,
    ("standalone.embedded", "EmbeddedServer._run", "add_done_callback"): BEFORE_REQUESTS,
    ("standalone.embedded", "EmbeddedServer.stop", "call_soon_threadsafe"): "ends the server, and begins nothing",
    ("worker.heartbeat", "LoopBeat._beat", "call_later"): THE_BEAT,
    (
        "runtime.forked_child",
        "Belongings.relinquish",
        "call_soon",
    ): "in a process that the application forked, which serves no request",
    (
        "runtime.event_loop",
        "_tell_the_main_thread",
        "add_signal_handler",
    ): "of a signal that there is none: nothing is registered",
    ("runtime.own_tasks", "begin", "Task"): "the main task itself, and what it begins",
    ("asgi.health_check", "probe", "Task"): THE_MAIN_TASK,
}
"""Module, function, what it calls: registered with asyncio's own loop, and why that keeps no client's context."""


class Walk(ast.NodeVisitor):
    """Where one module registers something in whichever context it happens to run."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._within: list[str] = []
        tree = ast.parse(source)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        # mypy --strict lets nothing but a ServerLoop pass for one; which modules have no other is told by the names.
        self._has_other_loop = bool(names & LOOPS_OF_ASYNCIO)
        self.found: list[tuple[str, str, str]] = []
        self.visit(tree)

    def _enter(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._within.append(node.name)
        self.generic_visit(node)
        self._within.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _enter

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        target = node.func
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if name not in REGISTERING or any(keyword.arg == "context" for keyword in node.keywords):
            return
        receiver = ast.unparse(target.value) if isinstance(target, ast.Attribute) else ""
        if not self._is_ours(receiver):
            self.found.append((self._module, ".".join(self._within), name))

    def _is_ours(self, receiver: str) -> bool:
        """Whether that is a ServerLoop. The server is handed asyncio's, and has one made of it: `self.loop`."""
        if self._has_other_loop:
            return self._module == "server.server" and receiver == "self.loop"
        return receiver.split(".")[-1] in ("loop", "_loop")


def modules() -> Iterator[tuple[str, str]]:
    root = Path(server_core.__path__[0])
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        if name != "runtime.server_loop":  # the one place that hands over contexts
            yield name, path.read_text()


def test_nothing_is_registered_with_the_loop_but_in_the_servers_context() -> None:
    found = {place for name, source in modules() for place in Walk(name, source).found}
    assert found - EXCEPTIONS.keys() == set(), "register it with a ServerLoop, or say why it keeps no context"
    assert EXCEPTIONS.keys() - found == set(), "no longer there"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def f(self): self.sock.add_reader(1, self.g)", "add_reader"),
        ("def f(): asyncio.get_running_loop().call_soon(g)", "call_soon"),
        ("def f(loop: asyncio.AbstractEventLoop): loop.call_soon(g)", "call_soon"),
        ("def f(self): self._waits_for.add_done_callback(self.g)", "add_done_callback"),
        ("def f(): Task(run())", "Task"),
        ("async def f():\n    async with asyncio.TaskGroup() as group: pass", "TaskGroup"),
    ],
)
def test_what_keeps_the_callers_context_is_found(source: str, name: str) -> None:
    assert Walk("module", source).found == [("module", "f", name)]


@pytest.mark.parametrize(
    "source",
    [
        "def f(self): self._loop.call_soon(self.g)",
        "def f(server): server.loop.call_at(1.0, g)",
        "def f(self): self._waits_for.add_done_callback(self.g, context=self._loop.context)",
    ],
)
def test_what_has_a_context_is_let_be(source: str) -> None:
    assert Walk("module", source).found == []


# What a ServerLoop does


@pytest.mark.parametrize("loop", LOOPS)
def test_every_callback_runs_in_the_servers_context_whoever_asks_for_it(loop: str) -> None:
    async def scenario() -> None:
        WHO.set("the worker")
        running = asyncio.get_running_loop()
        own = ServerLoop(running)
        WHO.set("a client")
        heard: dict[str, str] = {}
        all_heard = running.create_future()

        def hear(name: str) -> None:
            heard[name] = WHO.get()
            if len(heard) == 6:
                all_heard.set_result(None)

        reading, writing = os.pipe()
        os.write(writing, b"x")

        def read() -> None:
            own.remove_reader(reading)
            hear("add_reader")

        def write() -> None:
            own.remove_writer(writing)
            hear("add_writer")

        own.call_soon(hear, "call_soon")
        own.call_later(0.0, hear, "call_later")
        own.call_at(own.time(), hear, "call_at")
        own.add_reader(reading, read)
        own.add_writer(writing, write)
        future = own.create_future()
        future.add_done_callback(lambda _: hear("add_done_callback"), context=own.context)
        future.set_result(None)
        async with asyncio.timeout(DEADLINE_S):
            await all_heard
        os.close(reading)
        os.close(writing)
        assert set(heard.values()) == {"the worker"}

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_callback_can_register_the_next_one(loop: str) -> None:
    """The server's context is entered then, and cannot be entered again."""

    async def scenario() -> None:
        own = ServerLoop(asyncio.get_running_loop())
        readable = own.create_future()
        reading, writing = os.pipe()
        os.write(writing, b"x")

        def read() -> None:
            own.remove_reader(reading)
            own.call_soon(readable.set_result, None)

        own.call_soon(lambda: own.call_later(0.0, own.add_reader, reading, read))
        async with asyncio.timeout(DEADLINE_S):
            await readable
        os.close(reading)
        os.close(writing)

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_task_sets_is_its_own_and_what_a_handler_sets_is_nobodys(loop: str) -> None:
    async def scenario() -> None:
        running = asyncio.get_running_loop()
        own = ServerLoop(running)
        begun: list[str] = []

        async def work(name: str) -> None:
            begun.append(WHO.get())
            WHO.set(name)
            own.call_exception_handler({"message": name})
            await NewTask(rest(), loop=running, context=own.new_context())
            assert WHO.get() == name

        async def rest() -> None:
            begun.append(WHO.get())

        running.set_exception_handler(lambda _loop, told: WHO.set(f"handler of {told['message']}") and None)
        for name in ("one", "two"):
            own.call_soon(lambda: own.call_exception_handler({"message": "server"}))
            await NewTask(work(name), loop=running, context=own.new_context())
        assert begun == ["nobody"] * 4

    run(scenario(), loop=loop)
