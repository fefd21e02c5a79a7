"""Which parser reads request heads: the one that is wanted is imported, and no other."""

from __future__ import annotations

import importlib

from server_core.errors import UsageError
from server_core.http.message import HeaderParser
from server_core.http1.field_names import FieldNames


def choose(name: str) -> str:
    """The parser's name, imported, for `auto`, `httptools` or `h11`; auto is httptools where it can be imported.

    For before the application is imported, so that nothing is read from the disk later. h11 is 0.4 MB of memory and
    13 ms of CPU that hardly any worker has a use for (CPython 3.11.7).
    """
    if name != "h11":
        try:
            importlib.import_module("server_core.http1.httptools_parser")
        except ImportError as error:  # no wheel for this platform: h11 is plain Python
            if name == "httptools":
                raise UsageError("http: httptools cannot be imported; auto or h11 would be accepted") from error
        else:
            return "httptools"
    importlib.import_module("server_core.http1.h11_parser")
    return "h11"


def make(name: str, names: FieldNames, limit: int) -> HeaderParser:
    """The parser of a server, by the name that was chosen; `limit` is the longest head in bytes."""
    if name == "h11":
        from server_core.http1.h11_parser import H11Headers

        return H11Headers(names, limit)
    from server_core.http1.httptools_parser import HttptoolsHeaders

    return HttptoolsHeaders(names)
