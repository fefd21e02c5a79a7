"""Lengths, sizes, tables and escapes as a person sees them."""

from __future__ import annotations

import pytest

from supervisor_d.control.display.terminal import WIDTH, ago, duration, painted, printable, size, table


@pytest.mark.parametrize(
    ("length_s", "shown"),
    [
        (None, "-"),
        (0, "0.0s"),
        (9.94, "9.9s"),
        (12.9, "12s"),
        (200, "3m20s"),
        (7500, "2h05m"),
        (356_400, "4d03h"),
    ],
)
def test_a_length_has_two_units_at_most(length_s: float | None, shown: str) -> None:
    assert duration(length_s) == shown


@pytest.mark.parametrize(
    ("number_bytes", "shown"),
    [
        (None, "-"),
        (512, "512B"),
        (1536, "1.5K"),
        (48_000_000, "45.8M"),
        (500 * 1024**2, "500M"),
        (3 * 1024**3, "3.0G"),
    ],
)
def test_a_size_is_short(number_bytes: int | None, shown: str) -> None:
    assert size(number_bytes) == shown


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-01-01T00:00:00.000Z", "0s ago"),
        ("2025-12-31T23:59:18Z", "42s ago"),
        ("2025-12-31T23:58:00Z", "2m ago"),
        ("2025-12-29T23:58:00Z", "2d ago"),
        ("2026-01-01T00:00:09Z", "0s ago"),
        ("yesterday", "yesterday"),
    ],
)
def test_an_instant_is_how_long_ago_it_was(at: str, shown: str) -> None:
    assert ago(at, "2026-01-01T00:00:00.000Z") == shown


def test_nothing_that_steers_a_terminal_passes() -> None:
    assert printable("a\x1b[2J\r\n\x9b\u202eb ö") == "a\\x1b[2J\\r\\n\\x9b\\u202eb ö"


def test_the_last_column_gives_way_and_no_line_is_longer_than_the_limit() -> None:
    lines = table(("SLOT", "VALUE"), [("1", "x" * 300), ("22", "-")])
    assert max(map(len, lines)) == WIDTH
    assert lines[1].endswith("x~")
    assert lines[2] == "  22 -"


def test_colour_surrounds_a_word_it_knows_and_nothing_else() -> None:
    assert painted("ready", True) == "\x1b[32mready\x1b[0m"
    assert painted("ready", False) == painted("ready", False).strip("\x1b")
    assert painted("unknown", True) == "unknown"


def test_colour_does_not_move_the_columns() -> None:
    rows = [("ready", "1"), ("terminating", "2")]
    plain = table(("STATE", "PID"), rows)
    coloured = table(("STATE", "PID"), rows, colour=True)
    assert coloured != plain
    assert [line.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "") for line in coloured] == plain
