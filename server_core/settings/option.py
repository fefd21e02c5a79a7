"""How a setting is declared, and the typed parsers that every source of a value shares.

A setting is one line of a frozen dataclass: `timeout: float = option(30.0, kind=SECONDS, ...)`. The field stays a
plain `float` to the type checker; the metadata is the row from which flags, environment names, TOML keys, the
reference page and `supervisor-d config` are derived. A text is parsed by exactly one parser whatever its source.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from server_core.records import dataclass

T = TypeVar("T")

METADATA_KEY = "option"


@dataclass(frozen=True, slots=True)
class ValueType:
    """One type of value: how its text is read, how it is written back, and what would be accepted.

    `parse` raises ValueError whose message completes "NAME: ..." (for example "must be a length of time").
    `words` are all the values there are, where they can be listed. `is_quoted` kinds are read from strings alone,
    because a number in TOML or Python has already lost how it was written (0660 or 432). `separator` stands between
    the values of a repeatable setting in one environment variable.
    """

    name: str
    accepts: str
    parse: Callable[[str], object]
    render: Callable[[object], str] = str
    is_flag: bool = False
    words: tuple[str, ...] = ()
    is_quoted: bool = False
    separator: str = ","


@dataclass(frozen=True, slots=True)
class Option:
    """The row behind one setting.

    `reloads` says whether a reload can apply a changed value (new workers get it; nearly always) or only a restart can.
    `environment` lists names read besides SUPERVISOR_D_<NAME>, in order, as everybody expects them.
    `repeatable` settings hold a tuple; on the command line the flag is given several times.
    A `secret` one is never shown: in no page, message, log or repr, on no command line and in no worker's environment.
    """

    kind: ValueType
    section: str
    help: str
    reloads: bool = True
    flags: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    repeatable: bool = False
    check: Callable[[object], str | None] | None = None
    secret: bool = False

    def render(self, value: object) -> str:
        """A value as its text, which its parser reads again, but for a secret's."""
        if self.secret:
            return HIDDEN if value else ""
        return self.kind.render(value)

    def read(self, text: str) -> object:
        """The typed value of a text; ValueError says what would be accepted, and of a secret no more than that."""
        try:
            value = self.kind.parse(text)
            wrong = self.refused(value)
        except ValueError:
            if not self.secret:
                raise
            wrong = self.refusal
        if wrong:
            raise ValueError(self.refusal if self.secret else wrong)
        return value

    def refused(self, value: object) -> str | None:
        """What is wrong with an already typed value, if anything; numbers are written with their unit."""
        if isinstance(self.check, Bounds):
            return self.check.refused(value, self.kind.render)
        return self.check(value) if self.check is not None else None

    @property
    def refusal(self) -> str:
        """What is wrong with a secret, which must not be shown."""
        return f"must be {self.kind.accepts}, and what was given is none (a secret: it is not shown)"


HIDDEN = "(hidden)"
"""What is shown in a secret's place."""


def option(
    default: T,
    *,
    kind: ValueType,
    section: str,
    help: str,
    reloads: bool = True,
    flags: tuple[str, ...] = (),
    environment: tuple[str, ...] = (),
    repeatable: bool = False,
    check: Callable[[object], str | None] | None = None,
    secret: bool = False,
) -> T:
    """Declare one setting; `check` returns what is wrong with an already typed value, or None."""
    row = Option(kind, section, help, reloads, flags, environment, repeatable, check, secret)
    return dataclasses.field(default=default, metadata={METADATA_KEY: row}, repr=not secret)


def declared(settings: type) -> Mapping[str, Option]:
    """Every option of a settings class by its name, in the order of declaration."""
    return {
        field.name: cast(Option, field.metadata[METADATA_KEY])
        for field in dataclasses.fields(settings)
        if METADATA_KEY in field.metadata
    }


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(b|k|kb|kib|m|mb|mib|g|gb|gib)?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

SECONDS_MAX = 3650 * 86400.0
"""Ten years; chosen: a longer time is a slip of the pen, and far beyond it the kernel's timers overflow."""

COUNT_DIGITS = 15
"""Digits of the largest whole number that is read: more do not fit what it is used for. Chosen."""

_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off"))


def parse_seconds(text: str) -> float:
    """A length of time in seconds, from "1.5", "1.5s", "250ms", "2m", "1h" or "1d"."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"must be a length of time such as 30, 1.5s, 250ms, 2m or 1h, not {text!r}")
    seconds = float(match[1]) * _DURATION_UNITS[match[2]]
    if seconds > SECONDS_MAX:
        raise ValueError(f"must be at most ten years (3650d), not {text!r}")
    return seconds


def parse_bytes(text: str) -> int:
    """A size in bytes, from "4096", "64k", "64KiB", "10M" or "1G" (all powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"must be a size such as 65536, 64k, 10M or 1G, not {text!r}")
    if len(match[1]) > COUNT_DIGITS:
        raise ValueError(f"must be a size of at most {COUNT_DIGITS} digits, not {text!r}")
    return int(float(match[1]) * _SIZE_UNITS[(match[2] or "")[:1].lower()])


def parse_count(text: str) -> int:
    """A whole number of at least 0."""
    stripped = text.strip()
    if stripped.startswith("-") and stripped[1:].isdigit():
        raise ValueError(f"must not be negative, as {text!r} is")
    if not (stripped.isascii() and stripped.isdigit()):
        raise ValueError(f"must be a whole number, not {text!r}")
    if len(stripped) > COUNT_DIGITS:
        raise ValueError(f"must be a whole number of at most {COUNT_DIGITS} digits, not {text!r}")
    return int(stripped)


def parse_switch(text: str) -> bool:
    """True or False, from on/off, true/false, yes/no or 1/0."""
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(f"must be on or off, not {text!r}")


def parse_text(text: str) -> str:
    """The text as it stands; NUL never belongs in a setting."""
    if "\0" in text:
        raise ValueError(f"must not contain a NUL character, as in {text!r}")
    return text


def parse_octal(text: str) -> int:
    """A file mode from octal digits, as chmod takes them."""
    digits = text.strip().removeprefix("0o")
    if not re.fullmatch(r"[0-7]{1,4}", digits):
        raise ValueError(f"must be an octal file mode such as 0660, not {text!r}")
    return int(digits, 8)


def render_seconds(value: object) -> str:
    return f"{plain(value)}s" if isinstance(value, (int, float)) else str(value)


def plain(value: float) -> str:
    """A number without an exponent or idle zeros, so that every parser here reads it again."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def choice(*accepted: str) -> ValueType:
    """A kind whose values are exactly these words."""
    names = ", ".join(accepted)

    def parse(text: str) -> str:
        if text.strip().lower() not in accepted:
            raise ValueError(f"must be one of {names}, not {text!r}")
        return text.strip().lower()

    return ValueType("choice", f"one of {names}", parse, words=accepted)


SECONDS = ValueType("seconds", "a length of time: 30, 1.5s, 250ms, 2m, 1h", parse_seconds, render_seconds)
BYTES = ValueType("bytes", "a size: 65536, 64k, 10M, 1G", parse_bytes)
COUNT = ValueType("count", "a whole number", parse_count)
SWITCH = ValueType("switch", "on or off", parse_switch, lambda value: "on" if value else "off", is_flag=True)
TEXT = ValueType("text", "text", parse_text)
PATH = ValueType("path", "a path", parse_text)
MODE = ValueType("mode", "an octal file mode: 0660", parse_octal, lambda value: f"{value:04o}", is_quoted=True)


@dataclass(frozen=True, slots=True)
class Bounds:
    """A check that refuses numbers outside of `least` to `most`, both included; 0 is off where it may be."""

    least: float
    most: float | None = None
    may_be_off: bool = False

    def __call__(self, value: object) -> str | None:
        return self.refused(value, plain)

    def refused(self, value: object, render: Callable[[float], str]) -> str | None:
        """What is wrong with the value, with numbers as `render` writes them."""
        if not isinstance(value, (int, float)) or (self.may_be_off and value == 0):
            return None
        if value >= self.least and (self.most is None or value <= self.most):
            return None
        return f"must be {self.words(render)}, not {render(value)}"

    def words(self, render: Callable[[float], str]) -> str:
        """What it accepts, with numbers as `render` writes them."""
        if self.most is not None:
            return f"from {render(self.least)} to {render(self.most)}"
        return f"{'0 (off) or ' if self.may_be_off else ''}at least {render(self.least)}"


def at_least(minimum: float) -> Bounds:
    """A check that refuses numbers below `minimum`."""
    return Bounds(minimum)


def between(minimum: float, maximum: float) -> Bounds:
    """A check that refuses numbers outside of `minimum` to `maximum`."""
    return Bounds(minimum, maximum)


def off_or_at_least(minimum: float) -> Bounds:
    """A check that refuses numbers below `minimum`, except 0, which is off."""
    return Bounds(minimum, may_be_off=True)
