"""Typed parsers: what each kind reads, what it refuses, and that what is rendered is read again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_core.settings.option import (
    BYTES,
    COUNT,
    MODE,
    SECONDS,
    SWITCH,
    TEXT,
    at_least,
    between,
    choice,
    declared,
    off_or_at_least,
    option,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("1.5", 1.5),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("2m", 120),
        ("2 min", 120),
        (" 1h ", 3600),
        ("1d", 86400),
    ],
)
def test_a_length_of_time_is_read_with_its_unit(text: str, seconds: float) -> None:
    assert SECONDS.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("64k", 65536), ("64KiB", 65536), ("64kb", 65536), ("10M", 10 << 20), ("1G", 1 << 30), ("7b", 7)],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert BYTES.parse(text) == size


@pytest.mark.parametrize(("text", "truth"), [("on", True), ("YES", True), ("1", True), ("off", False), (" no ", False)])
def test_a_switch_is_read_from_its_usual_words(text: str, truth: bool) -> None:
    assert SWITCH.parse(text) is truth


@pytest.mark.parametrize("text", ["0660", "660", "0o660"])
def test_a_mode_is_octal(text: str) -> None:
    assert MODE.parse(text) == 0o660
    assert MODE.render(0o660) == "0660"


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (SECONDS, "soon", "must be a length of time such as 30, 1.5s, 250ms, 2m or 1h, not 'soon'"),
        (SECONDS, "-1", "not '-1'"),
        (SECONDS, "nan", "not 'nan'"),
        (SECONDS, "1e3", "not '1e3'"),
        (BYTES, "1T", "must be a size such as 65536, 64k, 10M or 1G, not '1T'"),
        (BYTES, "", "not ''"),
        (COUNT, "1.5", "must be a whole number, not '1.5'"),
        (COUNT, "²", "not '²'"),
        (COUNT, "-1", "must not be negative"),
        (SWITCH, "maybe", "must be on or off, not 'maybe'"),
        (MODE, "0888", "must be an octal file mode such as 0660, not '0888'"),
        (TEXT, "a\0b", "must not contain a NUL character"),
        (choice("red", "green"), "blue", "must be one of red, green, not 'blue'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_would_be(kind: object, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        kind.parse(text)  # type: ignore[attr-defined]
    assert said in str(caught.value)


@given(st.floats(0, 3e8).map(lambda value: round(value, 6)))
def test_a_rendered_length_of_time_is_read_as_itself(value: float) -> None:
    assert SECONDS.parse(SECONDS.render(value)) == pytest.approx(value)


@given(st.integers(0, 10**15 - 1))
def test_rendered_whole_numbers_are_read_as_themselves(value: int) -> None:
    assert COUNT.parse(COUNT.render(value)) == value
    assert BYTES.parse(BYTES.render(value)) == value


@given(st.booleans())
def test_a_rendered_switch_is_read_as_itself(value: bool) -> None:
    assert SWITCH.parse(SWITCH.render(value)) is value


@pytest.mark.parametrize(
    ("check", "sound", "wrong", "said"),
    [
        (at_least(0.1), 0.1, 0.05, "must be at least 0.1, not 0.05"),
        (between(1, 5), 5, 6, "must be from 1 to 5, not 6"),
        (off_or_at_least(10), 0, 9, "must be 0 (off) or at least 10, not 9"),
    ],
)
def test_checks_pass_the_sound_and_name_the_wrong(check: object, sound: float, wrong: float, said: str) -> None:
    assert check(sound) is None  # type: ignore[operator]
    assert check(wrong) == said  # type: ignore[operator]


def test_a_declaration_is_its_fields_in_order_with_their_rows() -> None:
    @dataclass(frozen=True)
    class Some:
        first: int = option(1, kind=COUNT, section="a", help="First.", reloads=False)
        plain: int = 2
        second: str = option("x", kind=TEXT, section="b", help="Second.")

    rows = declared(Some)
    assert list(rows) == ["first", "second"]
    assert (rows["second"].kind, rows["second"].reloads, rows["first"].reloads) == (TEXT, True, False)
    assert Some() == Some(1, 2, "x")
