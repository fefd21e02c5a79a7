"""What OpenSSL takes of the CPU for one connection, without any server: python -m tests.bench.tls_floor.

A client shakes hands, asks, is answered and says goodbye, as in the bench's load `handshakes`, and all that passes
between the two passes through memory. Only the server's half is counted: no system call is in it, no event loop, no
HTTP. It is the floor under every server that uses Python's `ssl`.
"""

from __future__ import annotations

import argparse
import contextlib
import ssl
import statistics
import time

from tests.helpers.certificates import authority, localhost

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, world!"


class Half:
    """One side of a connection in memory; `spent_ns` is the CPU time of its steps."""

    def __init__(self, context: ssl.SSLContext, *, is_server: bool) -> None:
        self.spent_ns = -time.thread_time_ns()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if is_server else "localhost"
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_side=is_server, server_hostname=name)
        self.spent_ns += time.thread_time_ns()

    def step(self, heard: bytes, what: str, *arguments: object) -> bytes:
        """Take in what was heard, do this as far as it goes, and return what is to be sent."""
        self.spent_ns -= time.thread_time_ns()
        self.incoming.write(heard)
        with contextlib.suppress(ssl.SSLWantReadError):
            getattr(self.ssl, what)(*arguments)
        said = self.outgoing.read()
        self.spent_ns += time.thread_time_ns()
        return said


def connection_us(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    """The server's CPU time for one connection."""
    ours, theirs = Half(server, is_server=True), Half(client, is_server=False)
    hello = theirs.step(b"", "do_handshake")
    finished = theirs.step(ours.step(hello, "do_handshake"), "do_handshake")
    ticket = ours.step(finished, "do_handshake")
    request = theirs.step(ticket, "write", REQUEST)
    response = ours.step(request, "read", 16384) + ours.step(b"", "write", RESPONSE) + ours.step(b"", "unwrap")
    theirs.step(response, "read", 16384)
    return ours.spent_ns / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=2000)
    options = parser.parse_args()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(localhost().certificate, localhost().key)
    server.num_tickets = 1
    client = authority().client()
    spent = [connection_us(server, client) for _ in range(options.connections)]
    print(f"{ssl.OPENSSL_VERSION}: {statistics.median(spent):.0f} us of CPU a connection, {min(spent):.0f} at least")


if __name__ == "__main__":
    main()
