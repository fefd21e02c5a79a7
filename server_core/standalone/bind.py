"""Where a server in a Python program listens: `host:port`, `[v6]:port`, `unix:path` or `fd://N`, as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from server_core.errors import UsageError
from server_core.records import dataclass

ACCEPTED: Final = "host:port, [v6 address]:port, unix:path or fd://N"
PORT_MAX: Final = 65535


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where to listen: a Unix socket's path or an inherited descriptor, if given, else host and port."""

    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    fd: int | None = None

    def check(self) -> None:
        """Raises UsageError if it is no place. getaddrinfo(3) would take a port of 70000 for 4464."""
        if self.uds is not None and self.fd is not None:
            raise UsageError("uds, fd: only one of them can be given")
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 0 <= self.port <= PORT_MAX:
            raise UsageError(f"port: must be a whole number from 0 to {PORT_MAX}, not {self.port!r}")


def places(bind: str | Sequence[str]) -> list[BindAddress]:
    """Each of them, at least one. Raises UsageError."""
    texts = [bind] if isinstance(bind, str) else list(bind)
    if not texts:
        raise UsageError(f"bind: must be at least one of {ACCEPTED}, not empty")
    return [_place(text) for text in texts]


def _place(text: object) -> BindAddress:
    if isinstance(text, str):
        kind, _, rest = text.partition(":")
        if kind == "unix" and rest:
            return BindAddress(uds=rest)
        if kind == "fd" and re.fullmatch(r"(//)?[0-9]{1,7}", rest):
            return BindAddress(fd=int(rest.removeprefix("//")))
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:/\[\]\s]+)):([0-9]{1,9})", text)
        if found:
            place = BindAddress(found[1] or found[2], int(found[3]))
            if place.port > PORT_MAX:
                raise UsageError(f"bind: the port must be from 0 to {PORT_MAX}, not {place.port} ({text!r})")
            return place
    raise UsageError(f"bind: must be {ACCEPTED}, not {text!r}")
