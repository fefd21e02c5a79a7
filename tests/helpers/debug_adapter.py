"""A client of the Debug Adapter Protocol, as an editor is one: of a program that debugpy listens in."""

from __future__ import annotations

import json
import socket
from types import TracebackType

from tests.helpers.daemon import DEADLINE_S


class DebugAdapter:
    """Attached to the program behind a port of this machine; every wait has the deadline."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self._reader = self._sock.makefile("rb")
        self._number = 0
        self.order("initialize", adapterID="test")
        self.expect(type="response", command="initialize", success=True)
        self.order("attach", justMyCode=False)
        self.expect(type="event", event="initialized")
        self.order("configurationDone")
        self.expect(type="response", command="attach", success=True)

    def __enter__(self) -> DebugAdapter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
        self._sock.close()

    def order(self, command: str, **arguments: object) -> None:
        self._number += 1
        request = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._sock.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def expect(self, **wanted: object) -> dict[str, object]:
        """The next message with these fields."""
        while True:
            message = self._read()
            if all(message.get(name) == value for name, value in wanted.items()):
                return message

    def _read(self) -> dict[str, object]:
        length = 0
        while line := self._reader.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        message: object = json.loads(self._reader.read(length))
        assert isinstance(message, dict)
        return message
