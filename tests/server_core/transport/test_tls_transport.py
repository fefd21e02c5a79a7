"""TLS as a layer: how records are cut does not matter, what is written waits and goes out in order, ends are told."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import Callable

import pytest

from server_core.listen.pending_connection import shake_hands
from server_core.runtime.server_loop import ServerLoop
from server_core.transport.poller import new_poller
from server_core.transport.socket_transport import SocketTransport
from server_core.transport.tls_transport import RECORD_BYTES, TlsTransport
from tests.helpers.certificates import authority, localhost
from tests.helpers.http import DEADLINE_S, reply, run, serving


class Below:
    """A transport that keeps what is written to it, and is as full as the test says."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.writes = 0
        self.is_closed = self.is_aborted = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self.writes += 1

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0


class Above:
    """What a connection is told."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.told: list[str] = []

    def connection_made(self, transport: TlsTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        assert data
        self.heard += data

    def eof_received(self) -> bool:
        self.told.append("end")
        return False

    def pause_writing(self) -> None:
        self.told.append("full")

    def resume_writing(self) -> None:
        self.told.append("room")

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append(f"lost {error}" if error else "lost")


class Pair:
    """A stream of the server's and the client at its other end, without a socket between them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(localhost().both)
        self.shaken: asyncio.Future[None] = loop.create_future()
        self.above, self.below = Above(), Below()
        self.stream = TlsTransport(context, lambda: self.above, self.shaken)
        self.stream.connection_made(self.below)
        trust = authority().client()
        trust.maximum_version = version
        self._to_client, self._from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = trust.wrap_bio(self._to_client, self._from_client, server_hostname="localhost")

    def carry(self, size: int = 1 << 30) -> None:
        """All that the client has sent to the stream, in pieces of this size; and back what came of it."""
        sent = self._from_client.read()
        for start in range(0, len(sent), size):
            self.stream.data_received(sent[start : start + size])
        self._to_client.write(bytes(self.below.written))
        self.below.written.clear()

    def shake(self, size: int = 1 << 30) -> None:
        for _ in range(3):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            self.carry(size)
        assert self.shaken.done()

    def read(self) -> bytes:
        """What the client can read by now; ends with the server's close_notify, if that has come."""
        self.carry()
        heard = bytearray()
        try:
            while part := self.client.read(1 << 20):
                heard += part
        except ssl.SSLWantReadError:
            return bytes(heard)
        except ssl.SSLZeroReturnError:  # and the client had said goodbye itself
            pass
        return bytes(heard) + b"<end>"


def play(scenario: Callable[[Pair], None], version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
    async def main() -> None:
        pair = Pair(asyncio.get_running_loop(), version)
        pair.shake()
        assert pair.above.told == ["made"]
        scenario(pair)

    run(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [1, 2, 5, 7, 100, 16_000, 1 << 20])
def test_it_does_not_matter_how_records_are_cut(size: int, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        pair = Pair(asyncio.get_running_loop(), version)
        pair.shake(size)
        parts = [b"a" * length for length in (1, 40, 3000, RECORD_BYTES, 2)]
        for part in parts:
            pair.client.write(part)
        pair.carry(size)
        assert pair.above.heard == b"".join(parts)

    run(main())


def test_bytes_that_come_with_the_end_of_the_handshake_are_read() -> None:
    async def main() -> None:
        pair = Pair(asyncio.get_running_loop())
        for _ in range(2):
            try:
                pair.client.do_handshake()
            except ssl.SSLWantReadError:
                pair.carry()
        pair.client.write(b"early")  # behind the client's Finished, in the same segment
        pair.carry()
        assert (pair.above.told, pair.above.heard) == (["made"], b"early")

    run(main())


def test_what_is_written_waits_for_room_and_goes_out_in_order() -> None:
    def scenario(pair: Pair) -> None:
        pair.stream.pause_writing()
        pair.stream.write(b"a" * 100_000)
        pair.stream.write(b"")
        pair.stream.writelines((b"b", b"c"))
        assert pair.stream.get_write_buffer_size() == 100_002
        assert pair.read() == b""
        pair.stream.resume_writing()
        assert pair.stream.get_write_buffer_size() == 0
        assert pair.read() == b"a" * 100_000 + b"bc"
        assert pair.above.told == ["made", "full", "room"]

    play(scenario)


def test_a_large_response_fills_the_transport_below_no_further_than_it_says() -> None:
    def scenario(pair: Pair) -> None:
        def write(data: bytes | bytearray | memoryview) -> None:
            pair.below.written += data
            pair.stream.pause_writing()

        pair.below.write = write  # type: ignore[method-assign]  # one that is full after each write
        pair.stream.write(bytes(1_000_000))
        assert len(pair.below.written) < 100_000
        heard = b""
        while part := pair.read():
            heard += part
            pair.stream.resume_writing()
        assert heard == bytes(1_000_000)

    play(scenario)


def test_goodbye_is_said_behind_what_was_written_and_the_answer_waited_for() -> None:
    def scenario(pair: Pair) -> None:
        pair.stream.pause_reading()
        pair.stream.pause_writing()
        pair.stream.write(b"last words")
        pair.stream.close()
        pair.stream.write(b"too late")
        assert pair.stream.is_closing()
        assert pair.below.is_reading()
        pair.stream.resume_writing()
        pair.client.write(b"a next request, under way")
        assert pair.read() == b"last words<end>"
        assert not pair.below.is_closed
        assert not pair.above.heard
        pair.client.unwrap()
        pair.carry()
        assert pair.below.is_closed

    play(scenario)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_last_response_leaves_with_the_goodbye(version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        pair = Pair(asyncio.get_running_loop(), version)
        pair.shake()
        before = pair.below.writes
        pair.stream.write_last((b"the ", b"last"))
        assert pair.below.writes == before
        pair.stream.close()
        assert pair.below.writes == before + 1
        pair.carry()
        assert pair.client.read() == b"the last"
        assert pair.client.read() == b"", "its goodbye"

    run(scenario())


def test_there_is_no_half_close_and_no_sendfile() -> None:
    async def scenario() -> None:
        pair = Pair(asyncio.get_running_loop())
        pair.shake()
        assert not pair.stream.supports_half_close
        with pytest.raises(OSError, match="TLS is encrypted here"):
            pair.stream.sendfile(0, 0, 1)

    run(scenario())


def test_a_large_last_response_is_not_kept_for_the_goodbye() -> None:
    async def scenario() -> None:
        pair = Pair(asyncio.get_running_loop())
        pair.shake()
        pair.stream.write_last(b"x" * 3 * RECORD_BYTES)
        assert len(pair.below.written) > 3 * RECORD_BYTES
        pair.stream.pause_writing()
        pair.stream.write(b"the last")
        pair.stream.close()
        pair.stream.resume_writing()
        pair.carry()
        expected = b"x" * 3 * RECORD_BYTES + b"the last"
        heard = b""
        while len(heard) < len(expected):
            heard += pair.client.read()
        assert heard == expected
        assert pair.client.read() == b"", "its goodbye"

    run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_s_goodbye_is_an_end_behind_its_last_bytes(version: ssl.TLSVersion) -> None:
    def scenario(pair: Pair) -> None:
        pair.client.write(b"last words")
        with pytest.raises(ssl.SSLWantReadError):
            pair.client.unwrap()
        assert pair.read() == b"<end>"
        assert (pair.above.heard, pair.above.told) == (b"last words", ["made", "end"])
        assert pair.below.is_closed
        pair.stream.connection_lost(None)
        assert pair.above.told == ["made", "end", "lost"]

    play(scenario, version)


def test_a_fin_without_goodbye_is_an_end_too() -> None:
    def scenario(pair: Pair) -> None:
        assert not pair.stream.eof_received()
        assert pair.above.told == ["made", "end"]
        assert pair.read() == b"<end>"

    play(scenario)


def test_bytes_that_somebody_meddled_with_end_the_connection() -> None:
    def scenario(pair: Pair) -> None:
        pair.client.write(b"whole")
        pair.carry()
        pair.stream.data_received(b"\x17\x03\x03\x00\x20" + b"\xff" * 32)
        assert pair.below.is_closed
        assert pair.above.heard == b"whole"
        pair.stream.write(b"to nobody")
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            pair.read()

    play(scenario)


def test_a_handshake_that_fails_is_told_to_both_ends() -> None:
    async def main() -> None:
        pair = Pair(asyncio.get_running_loop())
        pair.stream.data_received(b"\x16\x03\x03\x00\x04\xff\x00\x00\x00")  # no ClientHello
        with pytest.raises(ssl.SSLError):
            await pair.shaken
        assert pair.below.is_closed
        assert pair.below.written[0] == 0x15  # an alert (RFC 8446 section 5.1)
        pair.stream.connection_lost(None)
        assert pair.above.told == []

    run(main())


def test_a_client_that_goes_in_its_handshake_is_told_of() -> None:
    async def main() -> None:
        pair = Pair(asyncio.get_running_loop())
        assert not pair.stream.eof_received()
        pair.stream.connection_lost(None)
        with pytest.raises(ConnectionResetError, match="before the end"):
            await pair.shaken

    run(main())


def test_a_handshake_that_nobody_waits_for_any_more_makes_no_connection() -> None:
    async def main() -> None:
        pair = Pair(asyncio.get_running_loop())
        pair.shaken.cancel()
        pair.shake()
        assert pair.above.told == []

    run(main())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_handshake_that_is_cancelled_closes_its_socket(loop: str) -> None:
    async def main() -> None:
        running = ServerLoop(asyncio.get_running_loop())
        ours, theirs = socket.socketpair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(localhost().both)
        theirs.setblocking(False)
        poller = new_poller(running)

        def open_below(stream: TlsTransport) -> None:
            SocketTransport(running, poller, theirs.detach(), stream).open()

        task = asyncio.create_task(shake_hands(running, context, Above, open_below, DEADLINE_S))
        reader, writer = await asyncio.open_connection(sock=ours)
        task.cancel()
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.read() == b""
        writer.close()
        poller.close()

    run(main(), loop=loop)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_may_ask_for_new_keys(loop: str) -> None:
    """`K` of s_client: a KeyUpdate that wants another one back (RFC 8446 section 4.6.3)."""

    async def scenario() -> None:
        files = {"ssl_certfile": (localhost().certificate,), "ssl_keyfile": (localhost().key,)}
        async with serving(lambda _scope, _receive, send: reply(send, b"secret"), **files) as served:
            client = await asyncio.create_subprocess_exec(
                *("openssl", "s_client", "-connect", f"127.0.0.1:{served.address[1]}", "-servername", "localhost"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert client.stdin is not None
            assert client.stdout is not None
            async with asyncio.timeout(DEADLINE_S):
                await client.stdout.readuntil(b"Verify return code")
                client.stdin.write(b"K\n")
                await client.stdin.drain()
                await client.stdout.readuntil(b"KEYUPDATE")
                client.stdin.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                out = await client.stdout.read()
                await client.wait()
            assert b"secret" in out

    run(scenario(), loop=loop)
