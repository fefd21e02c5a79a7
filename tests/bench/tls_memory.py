"""What OpenSSL keeps for one connection whose handshake is done, without any server: python -m tests.bench.tls_memory.

Server and client shake hands in memory, and the server's half is kept. It is the floor under every server that uses
Python's `ssl`, with an event loop's TLS or with a layer of its own.
"""

from __future__ import annotations

import argparse
import gc
import resource
import ssl
from pathlib import Path

from tests.helpers.certificates import authority, localhost

Half = tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]


def shake(half: Half) -> bool:
    """Take the handshake as far as it goes; True when it is done."""
    try:
        half[0].do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def server_half(server: ssl.SSLContext, client: ssl.SSLContext) -> Half:
    """The server's side of a connection that is set up."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    kept = (server.wrap_bio(to_server, to_client, server_side=True), to_server, to_client)
    other_in, other_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    other = (client.wrap_bio(other_in, other_out, server_hostname="localhost"), other_in, other_out)
    is_done = False
    while not is_done:
        has_finished = shake(other)
        to_server.write(other_out.read())
        is_done = shake(kept) and has_finished
        other_in.write(to_client.read())
    return kept


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--tickets", type=int, default=2, help="session tickets that are sent (default: OpenSSL's)")
    options = parser.parse_args()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(localhost().certificate, localhost().key)
    server.num_tickets = options.tickets
    client = authority().client()
    kept = [server_half(server, client) for _ in range(100)]  # what all of them share is there now
    gc.collect()
    before = resident_bytes()
    kept.extend(server_half(server, client) for _ in range(options.connections))
    gc.collect()
    each = (resident_bytes() - before) / options.connections
    print(
        f"{ssl.OPENSSL_VERSION}, {kept[-1][0].version()}: {each / 1000:.1f} KB each ({options.connections} connections)"
    )


if __name__ == "__main__":
    main()
