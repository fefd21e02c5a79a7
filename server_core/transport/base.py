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

    supports_half_close = True
    """Whether write_eof() ends one direction alone. TLS has no half: its end, by close(), is of both."""

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def writelines(self, parts: tuple[bytes, bytes]) -> None:
        raise NotImplementedError

    def write_last(self, data: bytes | tuple[bytes, bytes]) -> None:
        """Write, or write both; close() or a half-close follows at once, and may leave in the same segment."""
        raise NotImplementedError

    def sendfile(self, file: int, offset: int, size: int) -> int:
        """Have the kernel send so much of a file, and say how much it took; OSError if it cannot.

        If that is not all, the transport is full until it should be asked again. BlockingIOError if nothing can be
        taken now; 0 is the end of the file.
        """
        raise NotImplementedError

    def write_eof(self) -> None:
        """Half-close behind what is written; only where supports_half_close."""
        raise NotImplementedError

    def get_write_buffer_size(self) -> int:
        raise NotImplementedError

    def get_write_progress(self) -> int | None:
        """How many bytes of what had to wait were taken so far; None if nothing waits to be taken now."""
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
        """Serve another protocol from now on; one that takes over a full transport hears so (pause_writing())."""
        raise NotImplementedError
