"""Long lists in pages: a reply is bounded, and says where the next one begins; pure.

Without a cursor a client gets the newest rows that fit, as many clients ask for nothing else. With `after` it gets the
oldest rows behind that number, and goes on from `next` while there are `more`. Rejected: one reply with everything,
which was refused for ever (503) once tracebacks had made it larger than the bound on unread output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from server_core.records import dataclass
from supervisor_d.control.messages import Refused, Reply, json_line, json_reply

PAGE_BYTES: Final = 1024 * 1024
"""Of JSON in a page, which holds one row at least. Chosen: a thirtieth of what may wait unread (control_socket), and
10 ms to encode, so that a reader of everything takes turns with the master's other work."""

Row = Mapping[str, object]
Values = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, oldest first; `next` is the cursor behind them, `left_out` counts older rows that did not fit."""

    rows: Sequence[Row]
    next: int
    more: bool = False
    left_out: int = 0

    def reply(self, called: str) -> Reply:
        told = {called: list(self.rows), "next": self.next, "more": self.more, "left_out": self.left_out}
        return json_reply(200, told)


def page(rows: Sequence[Row], number: str, values: Values, page_bytes: int = PAGE_BYTES) -> Page:
    """What a request's `after` and `limit` ask for; each row has its number, which only grows, under this key.

    Raises Refused.
    """
    after, limit = values.get("after"), values.get("limit", len(rows))
    if after is not None and after < 0:
        raise Refused(400, f"after: must be a number from 0, such as the `next` of a reply, not {after}")
    if "limit" in values and limit < 1:
        raise Refused(400, f"limit: must be at least 1, not {limit}")
    newest = int(str(rows[-1][number])) if rows else 0
    if after is None:
        chosen = fitting(reversed(rows), limit, page_bytes)[::-1]
        return Page(chosen, newest, left_out=len(rows) - len(chosen))
    behind = [row for row in rows if int(str(row[number])) > after]
    chosen = fitting(behind, limit, page_bytes)
    # A cursor of a daemon that ran before this one may be ahead of all rows: go on from what there is.
    reached = int(str(chosen[-1][number])) if chosen else min(after, newest)
    return Page(chosen, reached, more=len(chosen) < len(behind))


def backlog(rows: Sequence[Row], number: str, values: Values, page_bytes: int = PAGE_BYTES) -> Sequence[Row]:
    """What a stream begins with: the newest rows that fit, of those behind `after`, if that is given."""
    after = values.get("after", 0)
    behind = [row for row in rows if int(str(row[number])) > after]
    return page(behind, number, {"limit": values["limit"]} if "limit" in values else {}, page_bytes).rows


def fitting(rows: Iterable[Row], limit: int, page_bytes: int) -> list[Row]:
    """The first rows that fit into so many bytes, at least one and at most `limit`."""
    chosen: list[Row] = []
    taken = 0
    for row in rows:
        taken += len(json_line(row))
        if len(chosen) == limit or (chosen and taken > page_bytes):
            break
        chosen.append(row)
    return chosen
