"""Long lists in pages: bounded replies, a cursor that leads through all rows, and the newest rows without one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest

from supervisor_d.control.client.page_reader import whole
from supervisor_d.control.messages import Refused, Request
from supervisor_d.control.pages import PAGE_BYTES, backlog, page
from supervisor_d.control.routing import understand
from tests.helpers.views import a_view

ROWS = [{"seq": number, "traceback": "x" * 200_000} for number in range(1, 361)]
"""What 180 failed reloads leave behind, twice: 72 MB."""


def ask(target: str, rows: list[dict[str, object]]) -> Mapping[str, object]:
    """As the control socket answers."""
    parts = urlsplit(target)
    called = parts.path.rpartition("/")[2]
    call = understand(Request("GET", parts.path, dict(parse_qsl(parts.query))))
    assert call.command.read is not None
    reply = call.command.read(a_view(**{called: rows}), call.values)
    assert reply.status == 200
    assert len(reply.body) < 2 * PAGE_BYTES
    told: object = json.loads(reply.body)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize(("path", "number"), [("events", "seq"), ("incidents", "id")])
def test_a_client_that_follows_the_pages_reads_every_row_once(path: str, number: str) -> None:
    rows: list[dict[str, object]] = [{number: row["seq"], "traceback": row["traceback"]} for row in ROWS]
    asked: list[str] = []

    def asking(target: str) -> Mapping[str, object]:
        asked.append(target)
        return ask(target, rows)

    assert whole(asking, f"/v1/{path}", path)[path] == rows
    assert len(asked) > 60


def test_without_a_cursor_the_newest_that_fit_are_told_and_how_many_are_left_out() -> None:
    told = ask("/v1/events", list(ROWS))
    events = told["events"]
    assert isinstance(events, list)
    assert events == ROWS[-len(events) :]
    assert told["left_out"] == 360 - len(events) > 300
    assert told["next"] == 360
    assert told["more"] is False


def test_few_rows_are_one_reply_as_ever() -> None:
    asked: list[str] = []

    def asking(target: str) -> Mapping[str, object]:
        asked.append(target)
        return ask(target, list(ROWS[:3]))

    assert whole(asking, "/v1/events", "events")["events"] == ROWS[:3]
    assert asked == ["/v1/events"]


def test_a_daemon_that_knows_no_pages_is_understood() -> None:
    assert whole(lambda _: {"events": [1]}, "/v1/events", "events") == {"events": [1]}


def test_limit_bounds_the_rows_and_the_cursor_stands_where_a_row_was_forgotten() -> None:
    rows = [{"seq": number} for number in (3, 7, 8, 11)]
    assert page(rows, "seq", {"after": 0, "limit": 2}).rows == rows[:2]
    second = page(rows, "seq", {"after": 7, "limit": 1})
    assert (second.rows, second.next, second.more) == ([rows[2]], 8, True)
    assert page(rows, "seq", {"limit": 1}).rows == [rows[3]]
    assert page(rows, "seq", {"after": 4}).rows == rows[1:]
    assert page([], "seq", {"after": 4}).next == 0


def test_a_cursor_of_another_run_comes_back_to_what_there_is() -> None:
    ahead = page([{"seq": 1}], "seq", {"after": 1_000_000})
    assert (list(ahead.rows), ahead.next, ahead.more) == ([], 1, False)


def test_a_row_larger_than_a_page_is_a_page_of_its_own() -> None:
    rows = [{"seq": 1, "x": "y" * 100}, {"seq": 2, "x": "y" * 100}]
    assert page(rows, "seq", {"after": 0}, 10).rows == rows[:1]
    assert page(rows, "seq", {}, 10).rows == rows[1:]


def test_a_stream_begins_with_the_newest_that_fit_behind_its_cursor() -> None:
    assert backlog(ROWS, "seq", {"after": 358}) == ROWS[358:]
    assert backlog(ROWS, "seq", {"limit": 2}) == ROWS[-2:]
    assert 1 < len(backlog(ROWS, "seq", {})) < 10


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"after": "-1"}, "after: must be a number from 0"),
        ({"limit": "0"}, "limit: must be at least 1, not 0"),
        ({"limit": "x"}, "limit: must be a whole number, not 'x'"),
        ({"after": "true"}, "after: must be a whole number, not 'true'"),
    ],
)
def test_an_ill_formed_cursor_is_refused_by_name(query: dict[str, str], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read(query)


def read(query: dict[str, str]) -> None:
    call = understand(Request("GET", "/v1/events", query))
    assert call.command.read is not None
    call.command.read(a_view(), call.values)
