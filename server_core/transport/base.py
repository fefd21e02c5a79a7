"""What a connection and the transport below it, a SocketTransport or a TlsTransport over one, ask of each other.

The names and what they promise are those of asyncio's Transport and Protocol.
"""

from __future__ import annotations

from typing import Any, Protocol


class Served(Protocol):
    """What a transport hands over to."""

    def data_received(self, data: bytes) -> None: ...

    def eof_received(self) -> bool:
        """The peer's half has ended; True to keep ours."""

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def connection_lost(self, error: Exception | None) -> None: ...


class Newcomer(Served, Protocol):
    """One that is told of its transport, a Transport below."""

    def connection_made(self, transport: Any) -> None: ...


class Transport:
    """What carries one connection. A base class, not a typing.Protocol: compiled code calls write() directly."""

    __slots__ = ()

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def writelines(self, parts: tuple[bytes, bytes]) -> None:
        raise NotImplementedError

    def write_eof(self) -> None:
        raise NotImplementedError

    def can_write_eof(self) -> bool:
        raise NotImplementedError

    def get_write_buffer_size(self) -> int:
        raise NotImplementedError

    def pause_reading(self) -> None:
        raise NotImplementedError

    def resume_reading(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    def is_closing(self) -> bool:
        raise NotImplementedError

    def fileno(self) -> int:
        """The socket's descriptor; -1 once it is closed."""
        raise NotImplementedError

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        raise NotImplementedError

    def set_protocol(self, protocol: Served) -> None:
        raise NotImplementedError
