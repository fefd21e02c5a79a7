"""What a worker inherits from its master: listeners, its record, the table of loads, copies of the files of TLS.

All are descriptors whose numbers the spec tells. They are closed to programs that the application starts, and taken
from processes that it forks.
"""

from __future__ import annotations

import faulthandler
import os
import socket
import sys

from server_core.contract.scoreboard import STACKS_SIGNAL
from server_core.contract.spec import WorkerSpec
from server_core.errors import ContractError
from server_core.listen.fair_accept import FairAccept
from server_core.log import Log
from server_core.runtime import signal_stack
from server_core.runtime.forked_child import Belongings, withhold
from server_core.tls import passed_certificates
from server_core.tls.context import Contexts
from server_core.worker.control_pipe import Pipe
from server_core.worker.scoreboard import Scoreboard


def sockets(spec: WorkerSpec) -> list[socket.socket]:
    """The listeners, closed to programs that the application starts."""
    sockets: list[socket.socket] = []
    for listener in spec.listeners:
        try:
            sock = socket.socket(fileno=listener.fd)
        except OSError as error:
            raise ContractError(f"spec: listener {listener.address} is no socket, fd {listener.fd}: {error}") from error
        sock.set_inheritable(False)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def let_stacks_be_told(spec: WorkerSpec) -> None:
    try:
        os.set_inheritable(spec.record_fd, False)
        os.set_inheritable(spec.loads_fd, False)
        for copy in spec.tls_fds:
            os.set_inheritable(copy, False)
    except OSError as error:
        wanted = ", ".join(map(str, (spec.record_fd, spec.loads_fd, *spec.tls_fds)))
        raise ContractError(f"spec: no descriptor {wanted}: one of them is not open: {error}") from error
    faulthandler.enable(file=2)  # a crash in C code: the stacks go where the log goes
    faulthandler.register(STACKS_SIGNAL, file=spec.record_fd, all_threads=True, chain=False)
    signal_stack.widen()


def withhold_own(spec: WorkerSpec, pipe: Pipe, log: Log, *others: int) -> Belongings:
    """Let no process that the application forks have what is this one's."""
    own = (pipe.fileno(), spec.record_fd, spec.loads_fd, *others)
    belongings = Belongings(log, (listener.fd for listener in spec.listeners), own, _forget_stacks)
    withhold(belongings)
    return belongings


def settle(
    spec: WorkerSpec, pipe: Pipe, log: Log, scoreboard: Scoreboard, loads: FairAccept | None
) -> tuple[Belongings, Contexts | None]:
    """What is withheld as long as this worker lives, and its certificates, the copies closed.

    In this order, because a process that is forked meanwhile (by a thread of an application that was to be forked, and
    can not be) must never have what is not a copy any more replaced.
    """
    certificates = passed_certificates.read(spec)
    belongings = withhold_own(spec, pipe, log)
    belongings.add_memory(scoreboard, loads)
    for copy in spec.tls_fds:
        os.close(copy)
    return belongings, certificates


def _forget_stacks() -> None:
    faulthandler.unregister(STACKS_SIGNAL)
    if not (sys.flags.dev_mode or "faulthandler" in sys._xoptions or os.environ.get("PYTHONFAULTHANDLER")):
        faulthandler.disable()
