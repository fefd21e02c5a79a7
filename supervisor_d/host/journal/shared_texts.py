"""Long texts that many events carry, each kept once: a deploy that fails again fails with the same traceback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LONG: Final = 256
"""Characters from which a text is shared; below that, the bookkeeping takes as much as the text. Chosen."""


class SharedTexts:
    """The distinct long texts of all holders, and how many bytes they take."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._uses: dict[str, int] = {}
        self._held: dict[int, tuple[str, ...]] = {}  # by holder, oldest first
        self.bytes = 0

    def share(self, holder: int, fields: Mapping[str, object]) -> dict[str, object]:
        """The fields, with each long text replaced by the equal one that is here already, if one is."""
        shared = dict(fields)
        held = []
        for name, value in fields.items():
            if isinstance(value, str) and len(value) >= LONG:
                text = shared[name] = self._texts.setdefault(value, value)
                self._uses[text] = self._uses.get(text, 0) + 1
                if self._uses[text] == 1:
                    self.bytes += size(text)
                held.append(text)
        if held:
            self._held[holder] = tuple(held)
        return shared

    def release(self, holder: int) -> None:
        """Forget what this holder held, unless another one holds it, too; nothing if it held no long text."""
        for text in self._held.pop(holder, ()):
            self._uses[text] -= 1
            if not self._uses[text]:
                del self._uses[text], self._texts[text]
                self.bytes -= size(text)

    @property
    def oldest_holder(self) -> int:
        """KeyError if there is none."""
        for holder in self._held:
            return holder
        raise KeyError("no long text is held")


def size(text: str) -> int:
    """Bytes as UTF-8; a lone surrogate, which a traceback can hold, counts as three."""
    return len(text.encode("utf-8", "surrogatepass"))
