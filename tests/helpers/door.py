"""A control socket on a real reactor, and clients on the same reactor: one thread, no polling, one deadline."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from supervisor_d import clock
from supervisor_d.control.snapshot import Snapshot
from supervisor_d.control.socket_path import socket_address
from supervisor_d.faults import FaultBarrier
from supervisor_d.host.control.server import ControlServer
from supervisor_d.host.reactor import READ, WRITE, Reactor
from supervisor_d.host.sockets.control_listener import open_control_listener
from supervisor_d.vocabulary import DeadlineReached, Fact, Instant, RequesterGone, Started
from tests.helpers.deadline import GENEROUS_S
from tests.helpers.views import a_view

DEADLINE_S = GENEROUS_S
T = TypeVar("T")


class Client:
    """A plain socket: sends what it is given as fast as it is taken, and keeps what comes back."""

    def __init__(self, reactor: Reactor, address: str) -> None:
        self._reactor = reactor
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(socket_address(address))
        self.socket.setblocking(False)
        self.answer = b""
        self.ended = False
        self.reset = False
        self.reads = True
        self._unsent = b""

    def send(self, data: bytes) -> None:
        self._unsent += data
        self.watch()

    def ask(self, method: str, path: str, body: str = "", *headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", body]
        self.send("\r\n".join(lines).encode())

    def watch(self) -> None:
        events = (READ if self.reads and not self.ended else 0) | (WRITE if self._unsent else 0)
        if events:
            self._reactor.watch(self.socket.fileno(), events, self._handle)
        else:
            self._reactor.forget(self.socket.fileno())

    def close(self) -> None:
        if self.socket.fileno() >= 0:
            self._reactor.forget(self.socket.fileno())
            self.socket.close()

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.answer.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> object:
        return json.loads(self.answer.partition(b"\r\n\r\n")[2])

    @property
    def lines(self) -> list[object]:
        """The objects of a chunked stream of JSON lines, one chunk a line."""
        return [json.loads(line) for line in self.answer.split(b"\r\n") if line.startswith(b"{")]

    def _handle(self, events: int) -> None:
        try:
            if events & WRITE:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
            if events & READ:
                data = self.socket.recv(1 << 20)
                self.answer += data
                self.ended = not data
        except BrokenPipeError:
            self._unsent = b""
        except ConnectionResetError:
            self.ended = self.reset = True
        self.watch()
        self._reactor.tell(Started())  # wakes whoever waits; it is never looked at


class Door:
    """What a test holds: the socket, its clients, and what it told."""

    def __init__(self, place: Path | str) -> None:
        barrier = FaultBarrier(lambda event, /, **fields: self.log(event, **fields), lambda *_: None, lambda _: None)
        self.reactor = Reactor(barrier)
        self.view = a_view()
        self.fails_with: Exception | None = None
        self.logged: list[tuple[str, dict[str, object]]] = []
        self.facts: list[Fact] = []
        self._clients: list[Client] = []
        self._is_shut = False
        listener = open_control_listener((str(place),))
        self.control = ControlServer(self.reactor, listener, self._show, self.log)

    def client(self) -> Client:
        client = Client(self.reactor, self.control.address)
        self._clients.append(client)
        client.watch()
        return client

    def run_until(self, claim: Callable[[], bool]) -> None:
        """Turn the loop until the claim holds; fails with what is known after one generous deadline."""
        deadline = Instant(clock.now() + DEADLINE_S)
        while not claim():
            facts = self.reactor.wait(deadline)
            self.facts += [fact for fact in facts if not isinstance(fact, Started | DeadlineReached)]
            if any(isinstance(fact, DeadlineReached) for fact in facts):
                answers = [client.answer for client in self._clients]
                raise AssertionError(f"not so after {DEADLINE_S} s: {self.facts=} {self.logged=} {answers=}")

    def expect(self, kind: type[T]) -> T:
        """The next fact of this kind."""
        self.run_until(lambda: any(isinstance(fact, kind) for fact in self.facts))
        found = next(fact for fact in self.facts if isinstance(fact, kind))
        self.facts.remove(found)
        return found

    def gone(self) -> RequesterGone:
        return self.expect(RequesterGone)

    def run_beside(self, work: Callable[[], T], meanwhile: Callable[[], None] = lambda: None) -> T:
        """The result of a blocking call in another thread; in this one, `meanwhile` and then the loop."""
        results: list[T] = []
        errors: list[BaseException] = []
        read_end, write_end = os.pipe()

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
                errors.append(error)
            finally:
                os.write(write_end, b"x")

        self.reactor.watch(read_end, READ, lambda _: self.reactor.tell(Started()))
        thread = threading.Thread(target=run)
        thread.start()
        try:
            meanwhile()
            self.run_until(lambda: bool(results or errors))
        finally:
            self.reactor.forget(read_end)
            thread.join(DEADLINE_S)
            os.close(read_end)
            os.close(write_end)
        if errors:
            raise errors[0]
        return results[0]

    def shut(self) -> None:
        """Close the door itself, once; its clients may still read."""
        if not self._is_shut:
            self._is_shut = True
            self.control.close()

    def run_for(self, length_s: float) -> None:
        """Turn the loop for so long, for claims about what a length of time does not change."""
        end = Instant(clock.now() + length_s)
        self.reactor.at(end, lambda: self.reactor.tell(Started()))
        self.run_until(lambda: clock.now() >= end)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.shut()
        self.reactor.close()

    def _show(self) -> Snapshot:
        if self.fails_with is not None:
            raise self.fails_with
        return self.view

    def log(self, event: str, /, **fields: object) -> None:
        self.logged.append((event, fields))
