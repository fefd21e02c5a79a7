"""Restores a listener that another process of the same user has changed. Each worker does, with its beats.

Workers hold the very sockets that the master bound, so that what one of them sets holds for all (listener_options).
Who may set an option may also set it back, and workers beat in any case: no process is woken for it, and no request
pays. Rejected: a timer in the master, which sleeps while nothing happens; a socket of its own for each worker
(SO_REUSEPORT), which resets the clients in the queue of a worker that ends.

Connections that were accepted meanwhile have inherited it. Two options lose requests: with SO_RCVLOWAT the next one is
never heard, with SO_LINGER of no time the close resets what the client's kernel has not acknowledged. So each
connection that lives until a beat is looked at once, by two system calls. One that ends before is not: it has been
heard, and SO_LINGER would have to be looked at in every accept or close, which is a call for each request of a client
that does not keep its connection.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from typing import Final

from server_core.contract import listener_options
from server_core.contract.listener_options import Option
from server_core.contract.spec import ListenerSpec
from server_core.contract.syn_filter import DROP_SYN
from server_core.log import Log

LOOK_BEATS: Final = 10
"""Beats between two looks of an idle worker at all options. A look is about 45 system calls and 70 us (measured), and a
worker that serves makes it with each beat. O_NONBLOCK is looked at with each beat in any case."""


class ListenerGuard:
    """Looks after these sockets, which are as the specs say when all is well."""

    def __init__(self, specs: Iterable[ListenerSpec], sockets: Iterable[socket.socket], log: Log) -> None:
        self._log = log
        self._guarded: list[tuple[str, socket.socket, Mapping[str, str]]] = []
        self._inherited: list[tuple[Option, bytes]] = []
        for spec, sock in zip(specs, sockets, strict=True):
            self.add(spec, sock)
        self._beats = self._served = 0
        self._told: set[tuple[str, str]] = set()

    def add(self, spec: ListenerSpec, sock: socket.socket) -> None:
        """Look after this one, too."""
        self._guarded.append((spec.address, sock, self._wanted(spec, sock)))
        self._inherited = self._wanted_of_all()

    def give_up(self, address: str) -> list[socket.socket]:
        """Look after the sockets of this address no more; those are told."""
        given_up = [sock for called, sock, _ in self._guarded if called == address]
        self._guarded = [guarded for guarded in self._guarded if guarded[0] != address]
        return given_up

    def _wanted_of_all(self) -> list[tuple[Option, bytes]]:
        """What every accepted connection is to have: what all listeners were found with, if they agree."""
        found = []
        for option in listener_options.LOSING:
            values = {wanted.get(option.name, "") for _, _, wanted in self._guarded}
            if len(values) == 1 and (value := values.pop()):
                found.append((option, bytes.fromhex(value)))
        return found

    @staticmethod
    def _wanted(spec: ListenerSpec, sock: socket.socket) -> Mapping[str, str]:
        """What the master found, but for what each worker sets itself."""
        ours = listener_options.SET_BY_WORKERS
        now = {name: value for name, value in listener_options.capture(sock).items() if name in ours}
        return {**{name: value for name, value in spec.options.items() if name not in ours}, **now}

    def look(self, served: int) -> None:
        """To be called with each beat, with how many requests were served until now."""
        self._beats += 1
        is_whole = served != self._served or self._beats % LOOK_BEATS == 0
        self._served = served
        for address, sock, wanted in self._guarded:
            if sock.fileno() < 0:
                continue  # closed: this worker leaves
            changed = listener_options.unblock(sock)
            if is_whole:
                changed += listener_options.restore(sock, wanted, DROP_SYN)
            self._tell(address, changed)

    def mend(self, accepted: Iterable[int]) -> None:
        """Set the options that lose requests on these connected descriptors as their listener had them."""
        changed: dict[str, None] = {}
        for fd in accepted:
            changed |= dict.fromkeys(listener_options.mend(fd, self._inherited))
        self._tell("accepted connections", list(changed))

    def _tell(self, address: str, changed: list[str]) -> None:
        """Once for each option: a process that sets it again and again is not to fill the log."""
        fresh = [name for name in changed if (address, name) not in self._told]
        if fresh:
            self._told.update((address, name) for name in fresh)
            self._log("socket.altered", address=address, options=fresh, pid=os.getpid())
