"""The server's own tasks, which are not among those that an application finds and cancels.

Applications cancel `asyncio.all_tasks()` and wait for them in their lifespan shutdown, in a handler for SIGTERM or out
of a request: many a recipe does, as if the loop were its own. The worker's main task would be among them, and a worker
that only had to end would crash, and so would every other client's request. So these tasks are taken out of the set.

They are made without the loop's task factory, which is the application's to set: asyncio.eager_task_factory, one that
does not know what the loop gives it (uvloop 0.23 on CPython 3.13.0), one that raises. Requests are, too (server_loop).

Rejected: tasks whose cancel() does nothing, for which those recipes would wait until the budget ends, and in which
asyncio.timeout() would not work; to shield what the main task waits for, which leaves the main task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def begin(run: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> asyncio.Task[T]:
    """The task that runs it. The caller must keep it: nothing else does, and nothing else cancels it at the end."""
    task = asyncio.Task(run, loop=loop)
    asyncio._unregister_task(task)  # made for tasks that are not asyncio's own, and the same from 3.11 to 3.15
    return task
