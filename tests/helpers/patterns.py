"""Whether a regular expression has one way to read: at every byte at most one of its parts can take the next one.

Such an expression cannot backtrack far, whatever the text: a failed match gives back one run after the other, and none
of them can be read in another way. So "linear" is a property of the pattern, which needs no clock. What is built is
the position automaton (V. M. Glushkov, 1961), which is deterministic for exactly these expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from re import _constants, _parser  # private, and the only parser of its language
from typing import Any, Final

EVERY: Final = range(256)
COPIED: Final = 8
"""Exact repetitions up to this many are written out; others are taken for endless ones, which is stricter."""

Position = int


@dataclass
class _Part:
    """A part of the expression: where it can begin and end, and whether it may take nothing."""

    first: set[Position] = field(default_factory=set)
    last: set[Position] = field(default_factory=set)
    is_empty: bool = True


class _Automaton:
    """The positions of an expression, what each can take, and what may follow it."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.taken: list[frozenset[int]] = []
        self.follow: list[set[Position]] = []
        self.twice: set[Position] = set()
        """Reached again by two repetitions, one in the other: `(?:a+)+` is read in as many ways as it has cuts."""

    def leaf(self, taken: Iterable[int]) -> _Part:
        self.taken.append(frozenset(taken))
        self.follow.append(set())
        at = len(self.taken) - 1
        return _Part({at}, {at}, is_empty=False)

    def sequence(self, parts: Iterable[_Part]) -> _Part:
        whole = _Part()
        for part in parts:
            for at in whole.last:
                self.follow[at] |= part.first
            whole = _Part(
                whole.first | part.first if whole.is_empty else whole.first,
                whole.last | part.last if part.is_empty else part.last,
                whole.is_empty and part.is_empty,
            )
        return whole

    def repeated(self, least: int, most: int, items: Any) -> _Part:
        if least == most <= COPIED:
            return self.sequence([self.part(items) for _ in range(least)])
        part = self.part(items)
        if most > 1:
            for at in part.last:
                self.twice |= self.follow[at] & part.first
                self.follow[at] |= part.first
        return _Part(part.first, part.last, part.is_empty or least == 0)

    def part(self, items: Any) -> _Part:
        return self.sequence([self.item(operation, argument) for operation, argument in items])

    def item(self, operation: Any, argument: Any) -> _Part:
        match operation:
            case _constants.SUBPATTERN:
                return self.part(argument[3])
            case _constants.MAX_REPEAT:
                return self.repeated(argument[0], argument[1], argument[2])
            case _constants.BRANCH:
                parts = [self.part(alternative) for alternative in argument[1]]
                return _Part(
                    set().union(*(part.first for part in parts)),
                    set().union(*(part.last for part in parts)),
                    any(part.is_empty for part in parts),
                )
            case _constants.AT:
                return _Part()
            case _constants.ASSERT | _constants.ASSERT_NOT if argument[0] < 0:
                return _Part()  # looks back at what was taken, and takes nothing
        return self.leaf(_characters(operation, argument, self.flags))


def _characters(operation: Any, argument: Any, flags: int) -> set[int]:
    """What one character of the expression can be; ValueError for an operation that is not known here."""
    match operation:
        case _constants.LITERAL:
            both = (chr(argument).lower(), chr(argument).upper()) if flags & re.IGNORECASE else (chr(argument),)
            return {ord(character) for character in both}
        case _constants.NOT_LITERAL:
            return set(EVERY) - {argument}
        case _constants.ANY:
            return set(EVERY) - (set() if flags & re.DOTALL else {10})
        case _constants.RANGE:
            return set(range(argument[0], argument[1] + 1))
        case _constants.CATEGORY:
            name = str(argument).rpartition("_")[2].lower()
            escape = {"word": r"\w", "digit": r"\d", "space": r"\s"}[name]
            negated = "_NOT_" in str(argument)
            return {code for code in EVERY if bool(re.match(escape, chr(code), re.ASCII)) != negated}
        case _constants.IN:
            negated = argument[0][0] is _constants.NEGATE
            taken = set().union(*(_characters(*item, flags) for item in argument if item[0] is not _constants.NEGATE))
            return set(EVERY) - taken if negated else taken
    raise ValueError(f"{operation} is not judged")


def second_ways(pattern: re.Pattern[str] | re.Pattern[bytes]) -> list[str]:
    """Each character that two parts of the expression can take at one place; ValueError for what is not judged."""
    automaton = _Automaton(pattern.flags)
    whole = automaton.part(_parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))
    found = [repr(chr(code)) for at in automaton.twice for code in automaton.taken[at]]
    for choices in (whole.first, *automaton.follow):
        taken: set[int] = set()
        for at in sorted(choices):
            found += [repr(chr(code)) for code in taken & automaton.taken[at]]
            taken |= automaton.taken[at]
    return found
