"""A service manager's end of the notify protocol: a socket, and what was sent to it."""

from __future__ import annotations

import array
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.helpers.deadline import GENEROUS_S

DEADLINE_S: Final = GENEROUS_S


class Manager:
    """Reads datagrams; a barrier is answered as systemd does, by closing the descriptor that came with it."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + place[1:] if place.startswith("@") else place)
        self.lines: list[str] = []
        self.datagrams: list[list[str]] = []

    @classmethod
    def at(cls, directory: Path) -> Manager:
        return cls(str(directory / "notify"))

    def environ(self, **more: str) -> Mapping[str, str]:
        return {"NOTIFY_SOCKET": self.place, **more}

    def read(self) -> list[str]:
        """Every line that has come by now and was not read yet."""
        before = len(self.lines)
        self.socket.setblocking(False)
        try:
            while True:
                self._receive()
        except BlockingIOError:
            return self.lines[before:]

    def expect(self, *wanted: str) -> list[str]:
        """Reads until a line begins with each of these texts, in this order; the lines read."""
        before, give_up_at = len(self.lines), time.monotonic() + DEADLINE_S
        at = before
        for text in wanted:
            while at == len(self.lines) or not self.lines[at].startswith(text):
                if at < len(self.lines):
                    at += 1
                    continue
                self.socket.settimeout(max(0.001, give_up_at - time.monotonic()))
                try:
                    self._receive()
                except TimeoutError:
                    raise AssertionError(f"no {text!r} in {DEADLINE_S:g} s; there was {self.lines}") from None
            at += 1
        return self.lines[before:]

    def close(self) -> None:
        self.socket.close()

    def _receive(self) -> None:
        data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(64))
        for _, kind, content in ancillary:
            assert kind == socket.SCM_RIGHTS
            descriptors = array.array("i")
            descriptors.frombytes(content)
            for descriptor in descriptors:
                os.close(descriptor)
        lines = data.decode().split("\n")
        self.datagrams.append(lines)
        self.lines += lines
