"""What the atoms of a log format tell, where it takes more than an expression."""

from __future__ import annotations

import base64
import binascii
import http
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, cast

from server_core.access_log.escaping import as_text
from server_core.access_log.record import Served
from server_core.http.message import RequestLine

Scope = Mapping[str, object]
Fields = Mapping[bytes, object]

BODILESS: Final = (204, 304)


def host_of(pair: tuple[object, object] | None) -> object:
    """The host of an address in a scope."""
    return pair[0] if pair else None


def port_of(pair: tuple[object, object] | None) -> object:
    return pair[1] if pair else None


def address_of(pair: tuple[object, object] | None) -> object:
    """host:port, as uvicorn tells it."""
    if not pair:
        return None
    return pair[0] if pair[1] is None else f"{pair[0]}:{pair[1]}"


def marked(query: bytes) -> bytes:
    """As Apache has it: with its question mark, if there is one at all."""
    return b"?" + query if query else b""


def status_phrase(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def user(authorization: object) -> object:
    """The name in an Authorization of the scheme Basic (RFC 7617); whether its password is right nobody has asked."""
    if not isinstance(authorization, bytes) or authorization[:6].lower() != b"basic ":
        return None
    try:
        return base64.b64decode(authorization[6:], validate=True).partition(b":")[0] or None
    except binascii.Error:  # no base64, so no name
        return None


def host(authority: object) -> object:
    """The host that was asked for, without its port."""
    if not isinstance(authority, bytes):
        return None
    return authority.partition(b"]")[0] + b"]" if authority[:1] == b"[" else authority.partition(b":")[0]


def by_name(fields: Iterable[object]) -> dict[bytes, object]:
    """The response's, likewise; the writer has checked them."""
    return {name.lower(): value for name, value in cast("Iterable[tuple[bytes, object]]", fields)}


UNFIT: Final = (TypeError, LookupError, AttributeError, ValueError)
"""What the expressions raise over a scope that is not as ASGI has it."""


class Tamed(NamedTuple):
    """What ended, with what the atoms read of its scope brought into shape."""

    line: RequestLine
    scope: Scope
    status: int
    sent_bytes: int
    close_code: int | None


def tamed(served: Served) -> Tamed:
    """An application may have put anything into its scope, and a refused request has next to none; raised if tame."""
    if isinstance(served, Tamed):
        raise  # noqa: PLE0704 - called while one of UNFIT is handled: the error is ours, not the scope's
    scope, state = served.scope, served.scope.get("state")
    found = state.get("request_id") if isinstance(state, dict) else None
    shape = {
        "type": str(scope.get("type", "http")),
        "client": _pair(scope.get("client")),
        "server": _pair(scope.get("server")),
        "headers": list(_tame_fields(scope.get("headers"))),
        "state": {} if found is None else {"request_id": str(found)},
    }
    return Tamed(served.line, shape, served.status, served.sent_bytes, served.close_code)


def _pair(address: object) -> tuple[str, str | None] | None:
    if not isinstance(address, (tuple, list)) or len(address) != 2 or address[0] is None:
        return None
    return str(address[0]), None if address[1] is None else str(address[1])


def _tame_fields(fields: object) -> Iterator[tuple[object, str]]:
    for field in fields if isinstance(fields, (list, tuple)) else ():
        if isinstance(field, (list, tuple)) and len(field) == 2 and isinstance(field[0], bytes):
            yield field[0], as_text(field[1])
