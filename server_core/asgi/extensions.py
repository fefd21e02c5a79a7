"""Which ASGI extensions a request's response may use, told truthfully to the application in its scope.

https://asgi.readthedocs.io/en/latest/extensions.html; `tls` is added by whoever knows the connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn

from server_core.asgi.response_states import FILE, HINT, PATH, TRAILERS


class Nothing(dict[str, object]):
    """The settings of an extension that has none: empty for ever, so that all requests may share them.

    A types.MappingProxyType was rejected: copy.deepcopy() and json cannot take it, and applications do both to scopes.
    """

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("the server's extensions have no settings to change")

    __setitem__ = setdefault = update = __ior__ = _refuse


NOTHING: Final = Nothing()

EXTENSIONS: Final[Mapping[bytes, dict[str, object]]] = {
    # 1.0 has no interim responses (RFC 9110 15.2) and no chunks that trailers could follow (RFC 9112 7.1)
    b"HTTP/1.0": {PATH: NOTHING, FILE: NOTHING},
    b"HTTP/1.1": {HINT: NOTHING, TRAILERS: NOTHING, PATH: NOTHING, FILE: NOTHING},
}
"""By the version of the request; a copy of 0.1 us is each request's own (CPython 3.11)."""
