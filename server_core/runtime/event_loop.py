"""Which event loop runs, and what happens when application code tries to end it from a callback."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Callable, Coroutine
from typing import TypeVar, cast

from server_core.errors import UsageError
from server_core.runtime import own_tasks, task_registry

T = TypeVar("T")
_get_ident = threading.get_ident


class LoopStopped(Exception):
    """loop.stop() was called, by nobody of us."""


LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def choose(name: str) -> tuple[str, LoopFactory]:
    """The loop's name and its factory for `auto`, `uvloop` or `asyncio`; auto is uvloop where it can be imported."""
    if name == "asyncio":
        return "asyncio", asyncio.new_event_loop
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError as error:
        if name == "uvloop":
            raise UsageError(f"loop: uvloop cannot be imported ({error}); auto or asyncio would be accepted") from error
        return "asyncio", asyncio.new_event_loop
    return "uvloop", cast(LoopFactory, uvloop.new_event_loop)


def run(
    factory: LoopFactory,
    main: Callable[[asyncio.AbstractEventLoop], Coroutine[None, None, T]],
    on_exit: Callable[[BaseException], None],
) -> T:
    """What `main` returns, having run it to its end.

    The application can stop the loop, too: loop.stop(), or an asyncio.run() of a library's that it got hold of.
    asyncio lets SystemExit and KeyboardInterrupt from any callback or task unwind the whole loop (Handle._run), so
    one `sys.exit()` in an application's background task would drop every other client's request. Here the loop is
    entered again, and `on_exit` is told: it decides how to end in good order. (An error of `main` itself is raised.)
    `main` is not among the tasks that an application can find (own_tasks).
    """
    task_registry.lighten()
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        _tell_the_main_thread(loop)
        task = own_tasks.begin(main(loop), loop)
        try:
            return complete(loop, task, on_exit)
        finally:
            loop.set_task_factory(None)  # the application's could fail the runner, which has tasks to make, too


def complete(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T], on_exit: Callable[[BaseException], None]) -> T:
    """Run the loop until the task is done, and have its result, however often the application ends the loop."""
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            on_exit(error)
        except RuntimeError:  # "Event loop stopped before Future completed.", of both loops
            if task.done() or loop.is_closed():
                raise
            on_exit(LoopStopped("the application stopped the event loop"))


def _tell_the_main_thread(loop: asyncio.AbstractEventLoop) -> None:
    """Have uvloop find out which thread is the main one while it is called by its number.

    It asks threading once, when the first signal handler is added; where gevent has patched that, the main thread is
    called by a greenlet's number, and no handler could be added.
    """
    main, number = threading.main_thread(), _get_ident()
    known = main.ident
    if known == number:
        return
    main._ident = number  # type: ignore[attr-defined]
    try:
        with contextlib.suppress(ValueError):  # there is no signal 0: nothing is added
            loop.add_signal_handler(0, int)
    finally:
        main._ident = known  # type: ignore[attr-defined]
