"""Reading from one transport, on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server_core.transport.base import Transport


class ReadControl:
    """Pauses and resumes reading, however often it is told to."""

    __slots__ = ("_transport", "is_paused")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.is_paused = False

    def pause(self) -> None:
        if not self.is_paused:
            self.is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.is_paused:
            self.is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
