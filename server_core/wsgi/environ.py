"""From a checked request to PEP 3333's environ. What repeats is made once: of a request line, of a connection's fields.

The scope that the server makes of a request is the source, so that whatever trusted proxies say (scheme, client, host)
and the request's id are the same to both interfaces. The table of keys is in contrib/docs/WSGI.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast
from urllib.parse import quote, unquote_to_bytes

from server_core.http.fields import REMEMBERED
from server_core.http.message import RequestLine
from server_core.proxy.request_id import request_id_of
from server_core.wsgi.types import Environ

SERVER_SOFTWARE: Final = "supervisor-d"
DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

_NAMES: dict[bytes, str] = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
"""Names of fields as CGI has them (RFC 3875 section 4.1.18)."""


class Environs:
    """Makes the environ of each request of one server. Every method is for the loop's thread.

    `constant` are the keys that are the same in all of them.
    """

    __slots__ = ("_constant", "_lines", "_root_path")

    def __init__(self, root_path: str, constant: Mapping[str, object]) -> None:
        self._root_path = root_path.rstrip("/")
        self._constant = dict(constant)
        self._lines: dict[RequestLine, Environ] = {}

    def make(self, line: RequestLine, scope: Mapping[str, object], of_fields: Environ) -> Environ:
        """A new environ; `of_fields` is what of_fields() made of its fields."""
        known = self._lines.get(line)
        environ = (known if known is not None else self._learn(line)) | of_fields
        _add_ends(environ, scope)
        return environ

    def _learn(self, line: RequestLine) -> Environ:
        raw_path = cast(bytes, line.scope["raw_path"])
        environ = {
            **self._constant,
            "REQUEST_METHOD": line.method,
            "SCRIPT_NAME": self._root_path,
            # PEP 3333, "Unicode Issues": the bytes of the path, one to a character
            "PATH_INFO": unquote_to_bytes(raw_path).decode("latin-1"),
            "QUERY_STRING": cast(bytes, line.scope["query_string"]).decode("latin-1"),
            "RAW_URI": line.target,
            "REQUEST_URI": line.target,
            "SERVER_PROTOCOL": f"HTTP/{line.version}",
        }
        if len(line.target) <= REMEMBERED:
            if len(self._lines) >= REMEMBERED:
                self._lines.clear()
            self._lines[line] = environ
        return environ


def _add_ends(environ: Environ, scope: Mapping[str, object]) -> None:
    """Enter who asks whom, by which scheme, and what the request is called."""
    client = cast("tuple[str, int | None] | None", scope.get("client"))
    if client is None or client[1] is None:
        environ["REMOTE_ADDR"] = ""  # over a Unix socket; frameworks read the key without asking
    else:
        environ["REMOTE_ADDR"] = client[0]
        environ["REMOTE_PORT"] = str(client[1])
    scheme = cast(str, scope.get("scheme", "http"))
    environ["wsgi.url_scheme"] = scheme
    if "SERVER_NAME" not in environ:
        name, port = cast("tuple[str, int | None] | None", scope.get("server")) or ("localhost", None)
        environ["SERVER_NAME"] = name
        environ["SERVER_PORT"] = DEFAULT_PORTS[scheme] if port is None else str(port)
    elif "SERVER_PORT" not in environ:
        environ["SERVER_PORT"] = DEFAULT_PORTS[scheme]
    if "state" in scope and (request_id := request_id_of(scope)) is not None:
        environ["supervisor_d.request_id"] = request_id


def of_fields(fields: Sequence[tuple[bytes, bytes]]) -> Environ:
    """The keys that come of a request's fields, SERVER_NAME and SERVER_PORT of Host among them."""
    environ: Environ = {}
    for name, value in fields:
        key = _NAMES.get(name) or _name(name)
        text = value.decode("latin-1")
        if key in environ:
            # RFC 9110 section 5.2; RFC 6265 section 5.4 and RFC 9113 section 8.2.3 of cookies
            text = f"{environ[key]}{'; ' if name == b'cookie' else ','}{text}"
        environ[key] = text
    # Programs take HTTP_PROXY for the proxy of requests of their own (CVE-2016-5385, "httpoxy")
    environ.pop("HTTP_PROXY", None)
    host = cast(str, environ.get("HTTP_HOST", ""))
    if host:
        name_of_host, colon, port = host.rpartition(":")
        has_port = bool(colon) and not port.endswith("]")
        environ["SERVER_NAME"] = name_of_host if has_port else host
        if has_port and port:
            environ["SERVER_PORT"] = port
    return environ


def _name(name: bytes) -> str:
    key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    if len(_NAMES) < REMEMBERED and len(name) < REMEMBERED:
        _NAMES[name] = key
    return key


def of_scope(scope: Mapping[str, object]) -> Environ:
    """A whole environ, but for its streams, of any server's ASGI scope: for an application that is mounted."""
    path, root_path = cast(str, scope["path"]), cast(str, scope.get("root_path") or "")
    # ASGI, HTTP connection scope: path holds root_path, which is where the application is mounted
    inside = path[len(root_path) :] if root_path and path.startswith(root_path) else path
    query = cast("bytes", scope.get("query_string") or b"").decode("latin-1")
    raw = cast("bytes | None", scope.get("raw_path"))
    target = (raw.decode("latin-1") if raw else quote(path)) + (f"?{query}" if query else "")
    environ: Environ = {
        "SERVER_SOFTWARE": SERVER_SOFTWARE,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root_path.encode("utf-8").decode("latin-1"),
        "PATH_INFO": inside.encode("utf-8").decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        **of_fields(cast("Sequence[tuple[bytes, bytes]]", scope["headers"])),
    }
    _add_ends(environ, scope)
    return environ
