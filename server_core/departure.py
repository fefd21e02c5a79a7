"""The last steps of a worker: what threads may still hold it, and for how long.

A worker that has said `drained` has no request and no lifespan any more. Its interpreter waits for every thread that is
no daemon, and for those of executors, before it calls the exit functions (atexit): for ever. Some thread of an
application that nobody has told to stop would so turn each stop into graceful-timeout. So a thread of ours watches: if
the exit functions have not begun after a grace, it tells the master which threads hold the process, calls the functions
itself, and ends the process. Once they have begun they have what is left of the budget, which the master watches.

Rejected: an exception in the main thread, which ends its wait, too (as a second Ctrl-C does); but what it is in may be
C code, or a loop that closes. Daemon threads: which of an application's are, is not ours to change.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from typing import Final

from server_core.contract import TRACEBACK_LIMIT
from server_core.errors import EXIT_OK
from server_core.pipe import Pipe
from server_core.process import finish_streams, ignore_signals

EXIT_GRACE_S: Final = 2.0
"""How long threads may hold a worker that has finished. Chosen, as long as one that was told to give up may take: what
takes longer on purpose belongs into the lifespan shutdown, which has all of the budget."""


def watch(pipe: Pipe) -> None:
    """See to it that this process ends, from now on. To be called once, when `drained` was said."""
    begun = threading.Event()
    atexit.register(begun.set)  # registered last, so called first
    threading.Thread(target=_wait, args=(pipe, begun), name="departure", daemon=True).start()


def _wait(pipe: Pipe, begun: threading.Event) -> None:
    if begun.wait(EXIT_GRACE_S):
        return
    pipe.send("held", {"threads": holders(), "stacks": _stacks()[-TRACEBACK_LIMIT:]})
    atexit.unregister(ignore_signals)  # handlers are the main thread's to change, and stay as they are until _exit(2)
    atexit._run_exitfuncs()
    finish_streams()
    os._exit(EXIT_OK)


def holders() -> list[str]:
    """The names of the threads that the interpreter waits for; of the main one, if there is none."""
    main = threading.main_thread()
    return [thread.name for thread in _holding() if thread is not main] or [main.name]


def _holding() -> list[threading.Thread]:
    """The threads that are joined at the end, an executor's even as daemons, and the main one, which joins them."""
    executors = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", {})
    return [thread for thread in threading.enumerate() if not thread.daemon or thread in executors]


def _stacks() -> str:
    """The stacks of those threads and of the main one, innermost call last."""
    frames = sys._current_frames()
    told = []
    for thread in _holding():
        if thread.ident in frames:
            stack = "".join(traceback.format_stack(frames[thread.ident]))
            told.append(f"Thread {thread.name}:\n{stack}")
    return "\n".join(told)
