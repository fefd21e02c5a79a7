"""What one server counts, by the names of the rows (server_core/contract/figures.py).

There are two ways. What happens seldom is counted here, by `count`. What happens with each request is counted by an
attribute of the object at hand, which a compiled module adds to without a call, and `follow` says where that is;
it is read once a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server_core.contract.figures import ROWS, Figures, Kind

Read = Callable[[], "float | tuple[int, ...]"]

_COUNTED: Final = tuple(name for name, row in ROWS.items() if row.kind is Kind.COUNTER and not row.label)


class Counters:
    """One object for all who count in a server."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._followed: dict[str, Read] = {}

    def count(self, name: str, number: int = 1) -> None:
        """`number` more of a counter; KeyError if no row has the name."""
        self._counts[name] += number

    def follow(self, name: str, read: Read) -> None:
        """Ask `read` for this number from now on. ValueError if no row has the name, or it is followed already."""
        if name not in ROWS or name in self._followed:
            raise ValueError(f"counter {name!r}: must be a field of Figures that is not followed yet")
        self._followed[name] = read

    def figures(self) -> Figures:
        """All numbers as they are now; those of the process, of its beats are zero."""
        followed = {name: read() for name, read in self._followed.items()}
        return Figures()._replace(**{**self._counts, **followed})  # type: ignore[arg-type]  # each row's own type
