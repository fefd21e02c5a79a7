"""The types of PEP 3333, as the rest of this package names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, TypeAlias

Environ: TypeAlias = dict[str, object]
Write: TypeAlias = Callable[[bytes], object]
Fields: TypeAlias = Iterable[tuple[str, str]]
ErrorInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


class StartResponse(Protocol):
    """The callable that an application is given."""

    def __call__(self, status: str, headers: Fields, exc_info: ErrorInfo | None = None, /) -> Write: ...


WsgiApplication: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]
