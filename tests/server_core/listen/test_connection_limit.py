"""Who waits at limit-connections, and who makes room when descriptors run short."""

# ruff: noqa: ARG001, ARG005 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import asyncio
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http1.connection import Http1Connection
from server_core.listen.connection_limit import RESERVE
from tests.helpers.bench import Bench, settle
from tests.helpers.http import DEADLINE_S, GET, PipeTransport, reflect, reply, run, serving, turn
from tests.helpers.worker import ROOT

LOOPS = ("asyncio", "uvloop")
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


# limit-connections


@pytest.mark.parametrize("loop", LOOPS)
def test_who_comes_beyond_limit_connections_is_served_when_somebody_leaves(loop: str) -> None:
    async def scenario() -> None:
        async with serving(reflect, limit_connections=2) as served:
            first, second, third = [await served.connect() for _ in range(3)]
            for client in (first, second):
                assert (await client.get()).status == 200
            third.send(GET)
            await turn()
            await turn()
            assert len(served.server.connections) == 2
            first.close()
            assert (await third.response()).status == 200
            assert (await second.get()).status == 200, "nobody was sent away"
            (limited,) = served.heard.all("connections.limited")
            assert limited["limit"] == 2

    run(scenario(), loop=loop)


def test_a_parked_server_at_its_limit_joins_at_its_limit() -> None:
    async def scenario() -> None:
        async with serving(reflect, limit_connections=1) as served:
            first = await served.connect()
            assert (await first.get()).status == 200
            served.server.park()
            served.server.serve()
            second = await served.connect()
            second.send(GET)
            await turn()
            await turn()
            assert len(served.server.connections) == 1
            first.close()
            assert (await second.response()).status == 200

    run(scenario())


# Who makes room


class Crowded(Bench):
    """More connections without sockets, which can be told apart."""

    def __init__(self, app: object = reflect) -> None:
        super().__init__(app, keep_alive=10_000.0, header_timeout=10_000.0, body_timeout=10_000.0, write_timeout=1e4)
        self.transports: dict[str, PipeTransport] = {}
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.first_reserved = limit - min(RESERVE, limit // 8)

    async def add(self, name: str, *data: bytes) -> PipeTransport:
        transport = self.transports[name] = PipeTransport(
            Http1Connection(self.server, self.server.http1, ("192.0.2.1", 5))
        )
        for part in data:
            transport.feed(part)
            await settle()
        return transport

    def age(self, by_s: float) -> None:
        """Let every request under way have begun so much longer ago."""
        for connection in self.server.connections:
            if connection.stream.exchange is not None:
                connection.stream.exchange.started_at -= by_s

    def make_room(self) -> str:
        """Who gives way to a newcomer."""
        before = {name for name, transport in self.transports.items() if transport.is_closing()}
        self.server.room.come(self.first_reserved)
        after = {name for name, transport in self.transports.items() if transport.is_closing()}
        for name in after - before:
            self.transports[name].lose()
        return ",".join(after - before)


async def stubborn(scope: Message, receive: Receive, send: Send) -> None:
    """Answers /early before the body, streams /stream, never answers /busy, and reads the body for all others."""
    if scope["path"] == "/busy":
        await asyncio.Event().wait()
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
    elif scope["path"] == "/early":
        await reply(send, b"")
    else:
        await reflect(scope, receive, send)


def test_idle_silent_and_slow_connections_make_room_in_this_order_and_no_others() -> None:
    async def scenario() -> None:
        bench = Crowded(stubborn)
        bench.transport.lose()
        await bench.add("busy", GET.replace(b" / ", b" /busy "))
        await bench.add("slow body", HEAD.replace(b" / ", b" /read ") + b"content-length: 9\r\n\r\nx")
        slow_reader = await bench.add("slow reader")
        slow_reader.connection.pause_writing()
        slow_reader.pending = 900
        slow_reader.feed(GET.replace(b" / ", b" /stream "))
        await settle()
        await bench.add("answered early", HEAD.replace(b" / ", b" /early ") + b"content-length: 9\r\n\r\nx")
        taking = await bench.add("still taking its response", GET)
        taking.pending = 5
        await bench.add("half a head", HEAD)
        await bench.add("idle for longest", GET)
        bench.sweep(1.0)
        await bench.add("silent")
        await bench.add("idle", GET)
        parting = await bench.add("parting", b"\x00\r\n\r\n")
        assert parting.is_shut
        bench.sweep(100.0)
        await bench.add("answered a moment ago", GET)
        bench.age(1.0)
        gone = [bench.make_room() for _ in range(12)]
        assert gone == [
            "idle for longest",
            "idle",
            "half a head",
            "silent",
            "parting",
            "answered early",
            "still taking its response",
            "answered a moment ago",
            "slow body",
            "slow reader",
            "",
            "",
        ]
        assert bench.server.figures().evictions_total == 10
        assert len(bench.heard.all("descriptors.short")) == 1, "once an episode"

    asyncio.run(scenario())


def test_so_many_make_room_that_the_reserve_is_free_again() -> None:
    async def scenario() -> None:
        bench = Crowded()
        bench.transport.lose()
        for name in ("a", "b", "c"):
            await bench.add(name)
        bench.sweep(1.0)
        bench.server.room.come(bench.first_reserved - 1)
        assert not any(transport.is_closing() for transport in bench.transports.values())
        bench.first_reserved += 1
        assert sorted(bench.make_room().split(",")) == ["a", "b"]
        await bench.add("d")
        bench.server.room.come(3)
        assert bench.transports["c"].is_closing(), "a low descriptor does not mean that there are enough"

    asyncio.run(scenario())


def test_a_request_that_has_waited_for_its_client_for_a_moment_only_is_spared() -> None:
    async def scenario() -> None:
        bench = Crowded()
        bench.transport.lose()
        await bench.add("upload", HEAD + b"content-length: 9\r\n\r\nx")
        assert bench.make_room() == ""
        bench.server.room.renew()
        bench.age(2.0)
        assert bench.make_room() == "upload"

    asyncio.run(scenario())


def test_the_slowest_of_the_slow_goes_first() -> None:
    async def scenario() -> None:
        bench = Crowded()
        bench.transport.lose()
        await bench.add("old and fast", HEAD + b"content-length: 99999\r\n\r\n" + b"x" * 50_000)
        bench.age(10.0)
        await bench.add("slow", HEAD + b"content-length: 99999\r\n\r\nx")
        bench.age(10.0)
        assert [bench.make_room(), bench.make_room()] == ["slow", "old and fast"]

    asyncio.run(scenario())


def test_whoever_was_found_and_has_a_request_by_now_is_spared() -> None:
    async def scenario() -> None:
        bench = Crowded(stubborn)
        bench.transport.lose()
        for number in range(40):
            await bench.add(str(number), GET)
        bench.sweep(100.0)
        assert bench.make_room() == "0", "and 1 was found with it"
        bench.transports["1"].feed(GET.replace(b" / ", b" /busy "))
        await settle()
        assert bench.make_room() == "2"

    asyncio.run(scenario())


def test_an_application_whose_client_made_room_is_told_that_he_is_gone() -> None:
    async def scenario() -> None:
        heard: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            while not heard or heard[-1] == "http.request":
                heard.append(str((await receive())["type"]))

        bench = Crowded(app)
        bench.transport.lose()
        await bench.add("upload", HEAD + b"content-length: 9\r\n\r\nx")
        bench.age(2.0)
        assert bench.make_room() == "upload"
        await settle()
        assert heard == ["http.request", "http.disconnect"]
        assert bench.server.in_flight() == []
        assert not bench.heard.all("request.failed")

    asyncio.run(scenario())


# Descriptors


@contextmanager
def limited(descriptors: int, *arguments: str) -> Iterator[tuple[tuple[str, int], subprocess.Popen[str]]]:
    """A server of its own, with so many descriptors, and where it listens."""
    arguments = ("tests.apps.descriptors:app", "--port", "0", *arguments)
    with subprocess.Popen(
        ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", sys.executable, "-m", "server_core", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SUPERVISOR_D_LOG_FORMAT": "json"},
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("{") and json.loads(line)["event"] == "server.started":
                    host, _, port = json.loads(line)["addresses"][0].rpartition(":")
                    break
            yield (host, int(port)), process
        finally:
            process.kill()


def ask(address: tuple[str, int], path: str = "/") -> tuple[int, bytes]:
    client = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
    try:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


def events(process: subprocess.Popen[str]) -> list[str]:
    """What it has logged, once it has stopped."""
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=DEADLINE_S)
    return [json.loads(line)["event"] for line in said.splitlines() if line.startswith("{")]


SLOW: dict[str, Callable[[socket.socket], object]] = {
    "silent": lambda client: None,
    "slow head": lambda client: client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n"),
    "idle": lambda client: client.sendall(GET),
    "slow body": lambda client: client.sendall(HEAD + b"content-length: 4096\r\n\r\nx"),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", SLOW)
def test_a_normal_client_is_served_however_many_slow_ones_hold_descriptors(loop: str, kind: str) -> None:
    with limited(80, "--loop", loop) as (address, process):
        crowd = [socket.create_connection(address) for _ in range(50)]
        for client in crowd:
            SLOW[kind](client)
        try:
            for _ in range(3):
                crowd.extend(socket.create_connection(address) for _ in range(40))
                for client in crowd[-40:]:
                    SLOW[kind](client)
                assert ask(address)[0] == 200
                assert ask(address, "/open")[0] == 200, "the application can open a file"
        finally:
            for client in crowd:
                client.close()
        said = events(process)
        assert said.count("descriptors.short") <= 1
        assert "request.failed" not in said


@pytest.mark.parametrize("loop", LOOPS)
def test_where_nobody_can_make_room_the_normal_client_waits_and_nothing_spins(loop: str) -> None:
    with limited(80, "--loop", loop) as (address, process):
        busy = [begun(address) for _ in range(60)]
        process.send_signal(signal.SIGSTOP)  # so that it finds all of them with their requests
        waiting = [socket.create_connection(address) for _ in range(40)]
        try:
            for client in waiting:
                client.sendall(GET.replace(b" / ", b" /busy "))
            process.send_signal(signal.SIGCONT)
            spent_s = cpu_s(process)
            waiting[-1].settimeout(0.5)
            with pytest.raises(TimeoutError):
                waiting[-1].recv(1)
            assert cpu_s(process) - spent_s < 0.25
            for client in busy:
                client.close()
            waiting[-1].settimeout(DEADLINE_S)
            assert waiting[-1].recv(15).startswith(b"HTTP/1.1 200")
        finally:
            for client in (*busy, *waiting):
                client.close()
        process.kill()
        said = process.communicate(timeout=DEADLINE_S)[1]
        assert said.count("descriptors.short") == 1, "once an episode"
        assert said.count("accept.failed") <= 1


def begun(address: tuple[str, int]) -> socket.socket:
    """A client whose request the application has."""
    client = socket.create_connection(address, timeout=DEADLINE_S)
    client.sendall(GET.replace(b" / ", b" /busy "))
    assert client.recv(15).startswith(b"HTTP/1.1 200")
    return client


def cpu_s(process: subprocess.Popen[str]) -> float:
    """Seconds of processor time that it has used."""
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
