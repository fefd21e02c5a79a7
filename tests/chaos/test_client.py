"""The client books what happened: whatever a server does short of a whole, right answer is a loss, and only that."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct
from collections.abc import Awaitable, Callable

from tests.apps.chaos_app import digest_body, hello_body
from tests.chaos.client import Ask, Client
from tests.chaos.load import KINDS, MIX, post
from tests.chaos.tally import Tally
from tests.chaos.websocket import CROSSINGS, echo
from tests.helpers.websocket import TEXT, close_frame, frame

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD_END = b"\r\n\r\n"
RIGHT = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-pid: 7\r\n\r\nright"
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nright"


async def against(script: Script, act: Callable[[Client], Awaitable[None]]) -> Tally:
    """What one client booked against a server that does as the script says on every connection."""
    served: list[asyncio.Task[None]] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.ensure_future(script(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    tally = Tally()
    client = Client(address, tally, "kept GET", 0)
    try:
        async with asyncio.timeout(20):
            await act(client)
    finally:
        client.drop()
        server.close()
        await asyncio.gather(*served)
        await server.wait_closed()
    return tally


def right(*, last: bool = False) -> Ask:
    return Ask("GET /", (b"GET / HTTP/1.1" + HEAD_END,), b"right", last=last)


async def ask_once(client: Client) -> None:
    await client.ask(right())


async def ask_twice(client: Client) -> None:
    await client.ask(right())
    await client.ask(right())


async def ask_pair(client: Client) -> None:
    await client.ask(right(), right())


def answering(*answers: bytes) -> Script:
    """Gives these answers to as many requests, then closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(HEAD_END)
            writer.write(answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    return script


def lost(script: Script, act: Callable[[Client], Awaitable[None]]) -> list[tuple[str, str]]:
    tally = asyncio.run(against(script, act))
    return [(loss.phase, loss.why) for loss in tally.lost]


def test_a_right_answer_is_right() -> None:
    tally = asyncio.run(against(answering(RIGHT, RIGHT), ask_twice))
    assert (tally.right.total(), tally.lost, tally.opened, tally.pids) == (2, [], 1, {7})


def test_a_connection_closed_after_the_request_is_a_loss() -> None:
    assert lost(answering(b""), ask_once) == [("head", "closed")]


def test_a_body_that_ends_early_is_a_loss() -> None:
    assert lost(answering(RIGHT[:-1]), ask_once) == [("body", "closed")]


def test_chunks_without_their_end_are_a_loss() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert lost(answering(head + b"5\r\nright\r\n0\r\n\r\n"), ask_once) == []
    assert lost(answering(head + b"5\r\nright\r\n"), ask_once) == [("body", "closed")]


def test_another_status_is_a_loss() -> None:
    assert lost(answering(RIGHT.replace(b"200 OK", b"500 Oops")), ask_once) == [("body", "status 500")]


def test_another_body_is_a_loss() -> None:
    assert lost(answering(RIGHT.replace(b"right", b"wrong")), ask_once) == [("body", "wrong body: b'wrong'")]


def test_a_body_that_ends_with_its_connection_is_a_loss() -> None:
    phase, why = lost(answering(b"HTTP/1.1 200 OK\r\n\r\nright"), ask_once)[0]
    assert phase == "body"
    assert "broken connection" in why


def test_a_reset_is_a_loss() -> None:
    async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(HEAD_END)
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    assert lost(resetting, ask_once) == [("head", "ECONNRESET")]


def test_a_refused_connection_is_a_loss() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
        tally = Tally()
        asyncio.run(ask_once(Client(address, tally, "one-shot", 0)))
        assert [(loss.phase, loss.why) for loss in tally.lost] == [("connect", "ECONNREFUSED")]
        tally.stopping = True
        client = Client(address, tally, "one-shot", 0)
        asyncio.run(ask_once(client))
        assert client.retired
        assert (len(tally.lost), tally.refused) == (1, 1)


def test_the_second_of_a_pair_is_lost_if_the_connection_ends_after_the_first() -> None:
    tally = asyncio.run(against(answering(CLOSING), ask_pair))
    assert tally.right.total() == 1
    assert [loss.why for loss in tally.lost] == ["closed"]


def test_after_connection_close_a_new_connection_is_no_loss() -> None:
    tally = asyncio.run(against(answering(CLOSING), ask_twice))
    assert (tally.right.total(), tally.lost, tally.opened, tally.announced_closes) == (2, [], 2, 2)


def test_an_idle_connection_closed_before_the_next_request_is_no_loss() -> None:
    async def act(client: Client) -> None:
        await client.ask(right())
        assert client.wire is not None
        while not client.wire.is_ended():
            turn = asyncio.Event()
            asyncio.get_running_loop().call_soon(turn.set)
            await turn.wait()
        await client.ask(right())

    tally = asyncio.run(against(answering(RIGHT), act))
    assert (tally.right.total(), tally.lost, tally.opened, tally.idle_closes) == (2, [], 2, 1)


def test_a_fin_that_the_event_loop_has_not_read_is_seen() -> None:
    """The kernel is asked: nothing here gives the event loop a turn between the FIN and the question."""
    tally = Tally()

    async def act() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = Client(server.getsockname(), tally, "kept GET", 0)
            wire = await client.connection()
            accepted, _ = server.accept()
            assert not wire.is_ended()
            accepted.close()
            assert wire.end is None
            assert wire.is_ended()
            client.drop()

    asyncio.run(act())


def test_only_a_connection_of_a_killed_process_is_counted_apart() -> None:
    async def doomed(client: Client) -> None:
        wire = await client.connection()
        client.tally.doom([wire.port], since_s=0.0)
        await client.ask(right())
        await client.ask(right())

    tally = asyncio.run(against(answering(b""), doomed))
    assert (len(tally.unsavable), len(tally.lost)) == (1, 1)


def test_a_loss_that_was_booked_before_its_process_was_known_is_counted_apart() -> None:
    tally = asyncio.run(against(answering(b""), ask_once))
    (loss,) = tally.lost
    tally.doom([loss.port], since_s=loss.at_s + 1)
    assert tally.lost == [loss]
    tally.doom([loss.port], since_s=loss.at_s)
    assert (tally.lost, tally.unsavable) == ([], [loss])


def test_uploads_are_checked_by_length_and_sum() -> None:
    body = b"0123456789"

    async def act(client: Client) -> None:
        ask = post(client, body, 3, between_s=0.0, times="upload")
        assert ask.expected == digest_body("kept-GET-0-1", 10, 0xA684C7C6)
        assert b"".join(ask.pieces).endswith(b"4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n")
        ask = post(client, body, 3, between_s=0.0, times="upload")
        assert b"".join(ask.pieces).endswith(b"content-length: 10\r\n\r\n0123456789")

    asyncio.run(against(answering(), act))


def upgrading(*answers: bytes) -> Script:
    """Takes the handshake of each connection, then a message, and answers the next of `answers`; b"" is an echo."""
    left = list(answers)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(HEAD_END)
        key = head.lower().partition(b"sec-websocket-key: ")[2].partition(b"\r")[0]
        key = head[head.lower().index(key) :][: len(key)]
        proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 x\r\nsec-websocket-accept: " + proof + HEAD_END)
        size = (await reader.readexactly(2))[1] & 0x7F
        mask = await reader.readexactly(4)
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(await reader.readexactly(size)))
        writer.write(left.pop(0) or frame(TEXT, payload, masked=False))
        await reader.read()
        writer.close()
        await writer.wait_closed()

    return script


CLOSED_QUIET = close_frame(1012, b"service restart", masked=False)


def test_a_message_that_crossed_a_close_frame_is_sent_again() -> None:
    tally = asyncio.run(against(upgrading(CLOSED_QUIET, b""), echo))
    (crossing,) = tally.crossing
    assert (tally.right.total(), tally.lost, tally.opened) == (3, [], 2)  # two handshakes, one message
    tally.settle({"kept-GET-0-3"})
    assert (tally.crossed, tally.crossing, tally.lost) == ([crossing], [], [])


def test_a_message_that_the_application_was_given_has_crossed_nothing() -> None:
    tally = asyncio.run(against(upgrading(CLOSED_QUIET, b""), echo))
    (crossing,) = tally.crossing
    tally.settle({crossing.message})
    assert (tally.crossed, tally.crossing, tally.lost) == ([], [], [crossing])


def test_another_close_frame_instead_of_an_echo_is_a_loss() -> None:
    for closed in (close_frame(1012, b"", masked=False), close_frame(1001, b"service restart", masked=False)):
        tally = asyncio.run(against(upgrading(closed), echo))
        assert (len(tally.lost), tally.crossing) == (1, [])


def test_a_message_that_crosses_again_and_again_is_a_loss() -> None:
    tally = asyncio.run(against(upgrading(*[CLOSED_QUIET] * CROSSINGS), echo))
    assert (len(tally.lost), len(tally.crossing)) == (1, CROSSINGS)


def test_every_kind_has_its_clients() -> None:
    assert KINDS.keys() == MIX.keys()
    assert hello_body("n") == b"hello n\n"


def test_the_slowest_answers_are_kept() -> None:
    tally = Tally()
    for number in range(100):
        tally.answered("kept GET", (number * 37 % 100) / 1000)
    assert sorted(slow.latency_s for slow in tally.slowest) == [number / 1000 for number in range(80, 100)]
