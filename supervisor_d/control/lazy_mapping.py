"""A mapping that is made when it is first read; pure but for how it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LazyMapping(Mapping[K, V]):
    """What `make` returns, which is called once, at the first read, and never if there is none.

    Reading one worker's memory takes 0.1 ms (psutil), so that each probe of a daemon with 60 workers cost the master
    8 ms for what its answer does not contain (measured).
    """

    def __init__(self, make: Callable[[], Mapping[K, V]]) -> None:
        self._make = make
        self._made: Mapping[K, V] | None = None

    def __getitem__(self, key: K) -> V:
        return self._made_once()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._made_once())

    def __len__(self) -> int:
        return len(self._made_once())

    def _made_once(self) -> Mapping[K, V]:
        if self._made is None:
            self._made = self._make()
        return self._made
