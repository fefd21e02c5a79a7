"""The command that starts a worker: this interpreter, as it was started itself. Host side, but pure.

`-P` keeps the working directory off the front of sys.path until the worker has imported its own parts, so that an
application's `logging.py` is not ours. They are found where the master's were (settings/application/search_path).
Everything else the operator gave the interpreter is passed on: `-O` because it changes what the application does, `-X`
and `-W` because they are how one looks into it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from server_core.contract.search import BEGIN
from supervisor_d.settings.sources.environment import SLOT_VARIABLES
from supervisor_d.settings.table import SECRET_VARIABLES

FLAGS: Final = {
    "debug": "d",
    "optimize": "O",
    "dont_write_bytecode": "B",
    "no_user_site": "s",
    "no_site": "S",
    "ignore_environment": "E",
    "verbose": "v",
    "bytes_warning": "b",
    "isolated": "I",
}
"""sys.flags by name, and the letter that sets each (python(1)); a value of 2 is the letter twice."""

SUPERVISORS_OWN: Final = (
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
)
"""What systemd says to the master alone: a worker that answered it would speak for the daemon."""


def worker_command(pipe_fd: int) -> list[str]:
    """The argument vector of a worker that finds its pipe at this descriptor (contract/spec.py, "Spawning")."""
    return [sys.executable, "-P", *interpreter_flags(), "-c", BEGIN, "server_core.worker", str(pipe_fd)]


def interpreter_flags() -> list[str]:
    """The flags this interpreter was started with, as far as a worker should have them, too."""
    flags = []
    for name, letter in FLAGS.items():
        count = int(getattr(sys.flags, name))
        if count:
            flags.append("-" + letter * count)
    for name, value in sys._xoptions.items():  # documented under -X, underscore and all
        flags += ["-X", name if value is True else f"{name}={value}"]
    for text in sys.warnoptions:
        flags += ["-W", text]
    return flags


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker: what is the master's alone, and what is secret, is left out.

    The slot, too, which there is where a worker's application starts a daemon: it is the slot of that worker, and each
    worker sets its own (server_core/worker/bootstrap.py).
    """
    left_out = SECRET_VARIABLES.union(SUPERVISORS_OWN, SLOT_VARIABLES)
    return {name: value for name, value in environ.items() if name not in left_out}


def environment_in(directory: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of a worker that begins in this directory: PWD, if there is one, tells no other."""
    return {**environ, "PWD": directory} if directory and "PWD" in environ else environ
