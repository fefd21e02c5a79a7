"""Reading from one transport, on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server_core.transport.base import Transport


class Tap:
    """Pauses and resumes reading, however often it is told to."""

    __slots__ = ("_transport", "is_shut")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.is_shut = False

    def shut(self) -> None:
        if not self.is_shut:
            self.is_shut = True
            self._transport.pause_reading()

    def open(self) -> None:
        if self.is_shut:
            self.is_shut = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
