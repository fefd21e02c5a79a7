"""What an application can ask, and wait for: whether its worker drains."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Final

from server_core.asgi.extensions import Nothing

NAME: Final = "supervisor_d.draining"
"""The key in scope["extensions"], of lifespan's scope, too, and in the lifespan state."""


class Draining(Nothing):
    """is_set() says whether the drain has begun; awaited, it returns when it does. For the loop's thread.

    A dict, as the values of scope["extensions"] are, and an empty one: copies are it, and json takes it.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        super().__init__()
        self._event = asyncio.Event()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        """Return when the drain begins; at once if it has begun."""
        await self._event.wait()

    def __await__(self) -> Generator[object, None, None]:
        return self.wait().__await__()

    def __copy__(self) -> Draining:
        return self

    def __deepcopy__(self, _memo: object) -> Draining:
        return self

    def begin(self) -> None:
        """The drain begins. The server's to call."""
        self._event.set()
