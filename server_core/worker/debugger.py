"""Whether a thread waits in a debugger, which is no hang, and how the thread that tells so is not stopped itself.

pydevd, which debugpy and PyCharm are made of, stops all threads at a breakpoint, also the one that beats so that the
master knows the worker to be in a debugger. It leaves alone what is marked as its own threads are: by two attributes of
the thread's object in `threading` (mark_as_pydevd_daemon_thread() in pydevd). They are set only once pydevd is loaded:
the object is then seen in threading.enumerate(), and an application may join all that it finds there.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

from server_core.runtime import stacks

DEBUGGERS: Final = frozenset(("bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy"))
"""The packages of which some code is on the stack of a thread that is stopped: Python's own debugger with what is made
of it (ipdb, pudb), and the one of VS Code and PyCharm. sys.gettrace() tells of the calling thread alone, and coverage
sets it, too."""


def is_debugged(thread: int) -> bool:
    """Whether this thread, by its identifier, waits in a debugger now.

    Where no debugger is loaded that is told at once. Of more than 100 threads only the newest 100 are seen.
    """
    files = {
        getattr(module, "__file__", None)
        for name, module in tuple(sys.modules.items())
        if name.partition(".")[0] in DEBUGGERS
    }
    if not files:
        return False
    return any(call.filename in files for call in stacks.of_threads().get(thread, ()))


def stops_threads() -> bool:
    """Whether a debugger is loaded that stops all threads at a breakpoint."""
    return "_pydevd_bundle" in sys.modules


def be_spared() -> bool:
    """Have such a debugger not stop the thread that calls this; whether there is one."""
    if not stops_threads():
        return False
    thread = threading.current_thread()
    for mark in ("pydev_do_not_trace", "is_pydev_daemon_thread"):
        setattr(thread, mark, True)
    sys.settrace(None)  # it may have begun to trace this thread
    return True
