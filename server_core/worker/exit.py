"""The last steps of a worker: what threads may still hold it, and for how long.

A worker that has said `drained` has no request and no lifespan any more. Its interpreter waits for every thread that is
no daemon, and for those of executors, before it calls the exit functions (atexit): for ever. Some thread of an
application that nobody has told to stop would so turn each stop into graceful-timeout. So a thread of ours watches: if
the exit functions have not begun after a grace, it tells the master which threads hold the process, calls the functions
itself, and ends the process. Where all threads wait for one another (runtime/standstill.py), as an executor's does in
queue.get(), there is no grace: none of them can ever end. Once the exit functions have begun they have what is left of
the budget, which the master watches: multiprocessing's waits for child processes, and they may be at work on something.
What they wait for is named, too.

Rejected: an exception in the main thread, which ends its wait, too (as a second Ctrl-C does); but what it is in may be
C code, or a loop that closes. Daemon threads: which of an application's are, is not ours to change.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import Final

from server_core.contract.messages import TRACEBACK_LIMIT
from server_core.exit_codes import EXIT_OK
from server_core.runtime import stacks, standstill
from server_core.runtime.early_signals import finish_streams, ignore_signals
from server_core.worker.control_pipe import Pipe

EXIT_GRACE_S: Final = 2.0
"""How long threads may hold a worker that has finished. Chosen, as long as one that was told to give up may take: what
takes longer on purpose belongs into the lifespan shutdown, which has all of the budget. Exit functions are named once
they have run for as long."""
LOOK_INTERVAL_S: Final = 0.1
"""Between two questions whether they can end at all. Chosen: most workers have ended by then, and are never asked."""


def watch(pipe: Pipe, beats: int) -> None:
    """See to it that this process ends, from now on. To be called once, when `drained` was said.

    `beats` is the native id of a thread that beats for ever, and holds nothing.
    """
    begun = threading.Event()
    atexit.register(begun.set)  # registered last, so called first
    threading.Thread(target=_wait, args=(pipe, begun, beats), name="departure", daemon=True).start()


def _wait(pipe: Pipe, begun: threading.Event, beats: int) -> None:
    if _have_begun(begun, beats):
        threading.Event().wait(EXIT_GRACE_S)  # a process that ends meanwhile takes this thread with it
        _tell(pipe)
        return
    _tell(pipe)
    atexit.unregister(ignore_signals)  # handlers are the main thread's to change, and stay as they are until _exit(2)
    atexit._run_exitfuncs()
    finish_streams()
    os._exit(EXIT_OK)


def _have_begun(begun: threading.Event, beats: int) -> bool:
    """Wait for the exit functions, until the grace is over or it is sure that they never begin; whether they have."""
    deadline = time.monotonic() + EXIT_GRACE_S
    while not begun.wait(max(0.0, min(LOOK_INTERVAL_S, deadline - time.monotonic()))):
        if time.monotonic() >= deadline or standstill.is_final(begun, beats):
            return begun.is_set()
    return True


def _tell(pipe: Pipe) -> None:
    children = _children()
    fields = {"threads": _holders(children), "processes": children, "stacks": _told(children)}
    pipe.send("held", fields)


def _holders(children: list[str]) -> list[str]:
    """The names of the threads that the interpreter waits for; the main one, if nothing else is to be named."""
    main = threading.main_thread()
    others = [thread.name for thread in _holding() if thread is not main]
    return others or ([] if children else [main.name])


def _holding() -> list[threading.Thread]:
    """The threads that are joined at the end, an executor's even as daemons, and the main one, which joins them."""
    executors = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", {})
    return [thread for thread in threading.enumerate() if not thread.daemon or thread in executors]


def _children() -> list[str]:
    """The processes that multiprocessing joins at the end, as `Process-1 (pid 123)`."""
    started = getattr(sys.modules.get("multiprocessing.process"), "_children", ())
    return [f"{child.name} (pid {child.pid})" for child in tuple(started) if _lives(child.pid)]


def _lives(pid: int) -> bool:
    """Whether a child has not ended. It is not reaped: the main thread may be waiting for it."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:  # reaped by now, or a child of the forkserver's
        return os.path.exists(f"/proc/{pid}")


def _told(children: list[str]) -> str:
    """What an incident shows: the child processes, then the stacks of those threads and of the main one, innermost call
    last."""
    told = [f"waits for process {child}\n" for child in children]
    calls = stacks.of_threads()
    for thread in _holding():
        if thread.ident in calls:
            told.append(f"Thread {thread.name}:\n{''.join(calls[thread.ident].format())}")
    return "\n".join(told)[-TRACEBACK_LIMIT:]
