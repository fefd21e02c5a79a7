"""What the log and the figures tell of request fields that are left out for the `_` in their names."""

from __future__ import annotations

import asyncio

import pytest

from server_core.http1.dropped_fields import MOST_TOLD
from tests.helpers.bench import Bench
from tests.helpers.http import PARSERS


def asking(*names: str) -> bytes:
    return b"GET / HTTP/1.1\r\nhost: x\r\n%b\r\n" % "".join(f"{name}: 1\r\n" for name in names).encode()


def told(*requests: bytes, **settings: object) -> list[dict[str, object]]:
    async def scenario() -> list[dict[str, object]]:
        bench = Bench(**settings)
        for request in requests:
            await bench.feed(request)
        return bench.heard.all("field.dropped")

    return asyncio.run(scenario())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_name_is_told_once_with_the_setting_that_keeps_it(parser: str) -> None:
    found = told(asking("X_Token", "a-b"), asking("x_token"), asking("X_TOKEN", "user_id"), http=parser)
    assert [fact["name"] for fact in found] == ["x_token", "user_id"]
    assert found[0] == {"name": "x_token", "setting": "underscore-headers", "value": "drop", "is_last": False}


def counted(*requests: bytes, **settings: object) -> int:
    async def scenario() -> int:
        bench = Bench(**settings)
        for request in requests:
            await bench.feed(request)
        return bench.server.figures().dropped_fields_total

    return asyncio.run(scenario())


@pytest.mark.parametrize("parser", PARSERS)
def test_each_field_is_counted_each_time(parser: str) -> None:
    """Also in a head that is the last one's, and whose name has been told."""
    one, two = asking("X_Token", "a-b"), asking("x_token", "user_id", "a_b")
    assert counted(one, one, one, two, two, one + one, http=parser) == 3 + 6 + 2


@pytest.mark.parametrize("parser", PARSERS)
def test_a_field_is_counted_where_the_target_overrules_the_host(parser: str) -> None:
    request = b"GET http://x/ HTTP/1.1\r\nhost: y\r\na_b: 1\r\n\r\n"
    assert counted(request, request, http=parser) == 2


@pytest.mark.parametrize("parser", PARSERS)
def test_a_field_before_a_value_that_is_read_twice_is_counted_once(parser: str) -> None:
    """llhttp refuses a tab before a Content-Length, which is legal: the head is read again without it."""
    request = b"POST / HTTP/1.1\r\nhost: x\r\na_b: 1\r\ncontent-length:\t1\r\n\r\nx"
    assert counted(request, http=parser) == 1


@pytest.mark.parametrize("parser", PARSERS)
def test_fields_of_a_refused_head_are_not_counted(parser: str) -> None:
    assert counted(b"GET / HTTP/1.1\r\nhost: x\r\na_b: 1\r\nhost: y\r\n\r\n", http=parser) == 0


@pytest.mark.parametrize("underscores", ["keep", "refuse"])
def test_nothing_is_counted_of_fields_that_are_kept_or_refused(underscores: str) -> None:
    assert counted(asking("X_Token"), underscore_headers=underscores) == 0


@pytest.mark.parametrize("underscores", ["keep", "refuse"])
def test_nothing_is_told_of_fields_that_are_kept_or_refused(underscores: str) -> None:
    assert not told(asking("X_Token"), underscore_headers=underscores)


@pytest.mark.parametrize("length", [1, 200], ids=["short", "long"])
@pytest.mark.parametrize("parser", PARSERS)
def test_a_client_that_makes_up_names_fills_no_log(parser: str, length: int) -> None:
    """More names than are remembered for their meaning, twice: neither memory nor log grows with them."""
    requests = [asking(*(f"a{10 * number + index}_{'x' * length}" for index in range(10))) for number in range(150)]
    found = told(*requests, *requests, http=parser)
    assert len(found) == MOST_TOLD
    assert [fact["is_last"] for fact in found] == [False] * (MOST_TOLD - 1) + [True]
    assert all(len(str(fact["name"])) <= 64 for fact in found)
