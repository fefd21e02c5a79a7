"""The `ctl` side of the control socket: finds the daemon, asks, and hands back objects. Effects; imported by cli only.

Blocking, since `ctl` has nothing else to do, but never for ever without reason: connecting, sending and reading
commands have a limit; only the answer to a writing command is waited for as long as it takes, because the daemon
gives each of its steps a deadline of its own.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import h11

from server_core.exit_codes import EXIT_INTERNAL
from supervisor_d.control.messages import NDJSON
from supervisor_d.control.peer import Peer, Trust, peer_of, usual_trust
from supervisor_d.control.socket_path import is_abstract, socket_address
from supervisor_d.errors import SupervisorError

EXIT_NO_DAEMON: Final = 3
TIMEOUT_S: Final = 10.0
"""For connecting, sending and reading commands. The master acts within 0.1 s; chosen for a machine that swaps."""
SEND_TIMEOUT: Final = struct.Struct("@ll")
"""struct timeval, for SO_SNDTIMEO (socket(7)): seconds and microseconds."""


class ClientError(SupervisorError):
    """The daemon's or the caller's: it is there but did not answer, or may not be asked."""

    exit_code = EXIT_INTERNAL


class NoDaemon(SupervisorError):
    """The operator's: no process listens there."""

    exit_code = EXIT_NO_DAEMON


class Distrusted(ClientError):
    """The neighbour's, or the operator's: another user's process answers there."""


def call(
    address: str,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    timeout_s: float | None = None,
    trust: Trust | None = None,
) -> tuple[int, object]:
    """The status and the answer: what its JSON says, or the text where it is none (/metrics)."""
    patience_s = timeout_s if timeout_s is not None else TIMEOUT_S if method == "GET" else None
    with Conversation(address, trust) as conversation:
        response = conversation.ask(method, path, "*/*", body, patience_s)
        content = b"".join(conversation.parts())
    if header(response, b"content-type").startswith(b"application/json"):
        return response.status_code, read_json(content, address)
    return response.status_code, content.decode("utf-8", "replace")


def stream(
    address: str,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    trust: Trust | None = None,
) -> Iterator[Mapping[str, object]]:
    """Objects as they come, without a limit of time. The last of a writing command is the answer, with its "status".

    A refusal, which is no stream, comes as one object with "error" and "status".
    """
    with Conversation(address, trust) as conversation:
        response = conversation.ask(method, path, NDJSON, body, None)
        if not header(response, b"content-type").startswith(NDJSON.encode()):
            answer = read_json(b"".join(conversation.parts()), address)
            yield {**(answer if isinstance(answer, dict) else {"answer": answer}), "status": response.status_code}
            return
        for line in whole_lines(conversation.parts()):
            value = read_json(line, address)
            if isinstance(value, dict):
                yield value


class Conversation:
    """One connection: ask once, then read the parts of the answer's body."""

    def __init__(self, address: str, trust: Trust | None) -> None:
        self._address = address
        self._socket = believed(address, trust or usual_trust())
        self._wire = h11.Connection(h11.CLIENT)
        self._patience_s: float | None = TIMEOUT_S

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(
        self, method: str, path: str, accept: str, body: Mapping[str, object] | None, patience_s: float | None
    ) -> h11.Response:
        """The head of the answer, which is waited for `patience_s`, or for ever if that is None."""
        content = json.dumps(body).encode() if body is not None else b""
        headers = [("Host", "supervisor-d"), ("Accept", accept), ("Connection", "close")]
        if content:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        sent = self._wire.send(h11.Request(method=method, target=path, headers=headers)) or b""
        if content:
            sent += self._wire.send(h11.Data(data=content)) or b""
        sent += self._wire.send(h11.EndOfMessage()) or b""
        try:
            self._socket.sendall(sent)
        except TimeoutError:
            raise ClientError(f"{self._address} reads no request: {TIMEOUT_S:g} s without an end") from None
        except OSError:
            pass  # EPIPE: it refused before it had read all; why it did is still to be read
        self._patience_s = patience_s
        self._socket.settimeout(patience_s)
        while not isinstance(event := self._next_event(), h11.Response):
            pass  # an interim response
        return event

    def parts(self) -> Iterator[bytes]:
        """The body, piece by piece as it comes; ClientError if it is cut short."""
        while isinstance(event := self._next_event(), h11.Data):
            yield bytes(event.data)

    def _next_event(self) -> h11.Event:
        while True:
            try:
                event = self._wire.next_event()
                if not isinstance(event, type):  # NEED_DATA and PAUSED are h11's sentinels, which are types
                    return event
                self._wire.receive_data(self._socket.recv(65536))
            except TimeoutError:
                raise ClientError(f"{self._address} did not answer within {self._patience_s:g} s") from None
            except (OSError, h11.RemoteProtocolError) as error:
                raise ClientError(f"{self._address} went away before it had answered ({error})") from None


def believed(address: str, trust: Trust) -> socket.socket:
    """A connection to a trusted user's process; Distrusted before a byte is sent to any other."""
    connection = connect(address, TIMEOUT_S)
    peer = peer_of(connection)
    if not trust.believes(peer):
        connection.close()
        raise Distrusted(distrust(address, peer, trust))
    return connection


def distrust(address: str, peer: Peer, trust: Trust) -> str:
    """Why this one is not asked anything, and what to do."""
    squatted = "every user may take such a name" if is_abstract(address) else "somebody else may write its directory"
    return (
        f"{address} is answered by {peer}, not by {trust}; nothing was asked of it. If it is meant, give "
        f"--expect-user {peer.uid}; if not, {squatted}: give the right --socket, and end that process"
    )


def connect(address: str, timeout_s: float) -> socket.socket:
    """A connection; NoDaemon if no process listens, ClientError if we may not or it does not accept.

    While the accept queue is full connect(2) waits, but for non-blocking sockets, and those are what Python makes of
    a timeout: they fail at once with EAGAIN. So the kernel keeps the time here (SO_SNDTIMEO, socket(7)).
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(timeout_s))
    else:
        connection.settimeout(timeout_s)
    try:
        connection.connect(socket_address(address))
    except (ConnectionRefusedError, FileNotFoundError):
        connection.close()
        raise NoDaemon(f"no daemon listens at {address}") from None
    except (BlockingIOError, TimeoutError):
        connection.close()
        raise ClientError(f"{address} accepts no connection: its queue was full for {timeout_s:g} s") from None
    except OSError as error:
        connection.close()
        raise ClientError(f"cannot connect to {address}: {error.strerror or error}") from None
    connection.settimeout(timeout_s)
    return connection


def timeval(timeout_s: float) -> bytes:
    """At least a millisecond: nothing would mean for ever."""
    seconds, milliseconds = divmod(max(1, round(timeout_s * 1000)), 1000)
    return SEND_TIMEOUT.pack(seconds, milliseconds * 1000)


def whole_lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines


def header(response: h11.Response, name: bytes) -> bytes:
    return next((value for key, value in response.headers if key == name), b"")


def read_json(content: bytes, address: str) -> object:
    try:
        value: object = json.loads(content)
    except ValueError:
        raise ClientError(f"{address} is no control socket: it answered {content[:60]!r}") from None
    return value
