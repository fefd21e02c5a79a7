"""The `ctl` side of pages: a long list as one object, however many replies it takes; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Object = Mapping[str, object]


def whole(ask: Callable[[str], Object], path: str, called: str) -> Object:
    """The reply to `path` with every row under `called`, page by page if they are more than one page holds.

    The first request is the plain one, which daemons of any version answer. Rows that come meanwhile are read, too;
    those that the daemon forgets meanwhile are not.
    """
    told = ask(path)
    if not told.get("left_out"):
        return told
    rows: list[object] = []
    page: Object = {"next": 0, "more": True}
    while page["more"]:
        page = ask(f"{path}?after={page['next']}")
        found = page[called]
        rows += found if isinstance(found, list) else []
    return {**page, called: rows}
