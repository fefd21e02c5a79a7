"""The kinds of value that only a server's settings have; the general ones are in option.py."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from server_core.access_log.formats import AUTO, FORMATS, JSON
from server_core.settings.option import ValueType, choice, parse_text

_HEADER: Final = r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*:[ \t]*([\t\x20-\x7e\x80-\xff]*)"
_ID_NAME: Final = r"[A-Za-z0-9\-]{1,64}"
"""Compiled when there is one: every process imports this, and few have any."""

OURS_ALONE: Final = frozenset(
    ("connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Fields that tell how this very message is framed, or when it was made: no fixed value can be true."""


FORWARDED_FIELDS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded")


def parse_access_log(text: str) -> str:
    """ "off", "stderr", "-" for standard output, or a path."""
    stripped = parse_text(text).strip()
    if not stripped:
        raise ValueError("must be off, stderr, - or a path, not empty")
    word = stripped.lower()
    if word in ("on", "true", "yes", "1"):
        raise ValueError(f"must be off, stderr, - (standard output) or a path, not {text!r}; did you mean stderr?")
    if word in ("off", "false", "no", "0"):
        return "off"
    if word in ("stdout", "/dev/stdout"):
        return "-"
    return "stderr" if word in ("stderr", "/dev/stderr") else stripped


def parse_access_log_format(text: str) -> str:
    """auto, the name of a format, or a format as it stands."""
    parsed = parse_text(text)
    if "%" not in parsed:
        parsed = parsed.strip().lower()
    # Here: reading formats takes 5 ms to import, and most have the default.
    from server_core.access_log.format import check

    check(parsed)
    return parsed


def parse_app(text: str) -> str:
    """`module:attribute` or `module:factory()`, both dotted; whether they exist is the worker's to find out."""
    stripped = parse_text(text).strip()
    module, colon, attribute = stripped.removesuffix("()").partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise ValueError(f"must be module:attribute or module:factory(), not {text!r}{meant_app(stripped)}")
    return stripped


def parse_callable(text: str) -> str:
    """Nothing, or `module:callable`; whether it exists is the worker's to find out."""
    stripped = parse_text(text).strip()
    module, _, attribute = stripped.partition(":")
    if stripped and not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise ValueError(f"must be module:callable, not {text!r}")
    return stripped


USUAL_APPS: Final = ("app", "application", "asgi_app", "api")
"""What applications are called; `main.app` without a colon is one of a module, hardly a module of a package."""


def meant_app(text: str) -> str:
    """What was probably meant, for the usual slips: a file's name, no attribute, a dot for the colon, a whole path."""
    file, _, attribute = text.partition(":")
    directory, _, name = file.rpartition("/")
    if file.startswith("/") and name:
        meant = meant_app(f"{name}:{attribute}")
        return meant and f"{meant[:-1]} with --app-dir {directory or '/'}?"
    module = file.removesuffix(".py").strip("./").replace("/", ".")
    owner, _, last = module.rpartition(".")
    if owner and not attribute and last in USUAL_APPS and "/" not in file and not file.endswith(".py"):
        module, attribute = owner, last
    names = (*module.split("."), *(attribute or "app").split("."))
    return f"; did you mean {module}:{attribute or 'app'}?" if all(map(str.isidentifier, names)) else ""


def parse_peers(text: str) -> str:
    """Addresses, networks, `unix` or `*`, comma-separated; nothing at all believes nobody."""
    peers = [peer.strip() for peer in parse_text(text).split(",") if peer.strip()]
    for peer in peers:
        if peer in ("*", "unix"):
            continue
        try:
            ipaddress.ip_network(peer)
        except ValueError as error:
            raise ValueError(f"must be addresses, networks, unix or *, comma-separated: {error}") from None
    return ",".join(peers)


def parse_header(text: str) -> str:
    """`Name: value`, as it goes out."""
    match = re.fullmatch(_HEADER, text.strip())
    if match is None:
        raise ValueError(f"must be Name: value, in Latin-1 and without control characters, not {text!r}")
    if match[1].lower() in OURS_ALONE:
        raise ValueError(f"must not set {match[1]}, which is different from response to response")
    return f"{match[1]}: {match[2].rstrip()}"


def parse_forwarded_fields(text: str) -> str:
    """The fields that are believed, comma-separated in their usual order, or off."""
    names = {name.strip().lower() for name in parse_text(text).split(",") if name.strip()}
    if not names or names & {"off", "none"}:
        if len(names) > 1:
            raise ValueError(f"must be off or names of fields, not both, as in {text!r}")
        return "off"
    if unknown := sorted(names.difference(FORWARDED_FIELDS)):
        raise ValueError(f"must be off, or any of {', '.join(FORWARDED_FIELDS)}, comma-separated, not {unknown[0]!r}")
    if "forwarded" in names and len(names) > 1:
        raise ValueError(
            f"must be forwarded or x-forwarded fields, not both, as in {text!r}: which the proxy itself sets"
        )
    return ",".join(name for name in FORWARDED_FIELDS if name in names)


def parse_request_id(text: str) -> str:
    """off, or the name of a header, as it is written."""
    stripped = parse_text(text).strip()
    if not stripped or stripped.lower() in ("off", "none", "false", "no", "0"):
        return "off"
    if stripped.lower() in ("on", "true", "yes", "1"):
        raise ValueError(f"must be off or a header's name, not {text!r}; did you mean X-Request-ID?")
    if not re.fullmatch(_ID_NAME, stripped):
        raise ValueError(f"must be off or a header's name, of letters, digits and -, not {text!r}")
    if stripped.lower() in (*OURS_ALONE, *FORWARDED_FIELDS, "expect", "host", "server"):
        raise ValueError(f"must not be {stripped}, which means something else")
    return stripped


def parse_path(text: str) -> str:
    """A URL path that begins with a slash, or nothing."""
    if text and (not text.startswith("/") or any(character <= " " or character == "\x7f" for character in text)):
        raise ValueError(f"must be a path that begins with / and holds no spaces, not {text!r}")
    return text


def parse_prefix(text: str) -> str:
    """A URL path as a prefix of others: it does not end with a slash."""
    if parse_path(text).endswith("/"):
        raise ValueError(f"must not end with /, as in {text!r}")
    return text


def parse_threads(text: str) -> int:
    """A whole number from 1 to 1000, or auto, which is 0 here."""
    stripped = text.strip().lower()
    if stripped == "auto":
        return 0
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) <= 4 and 1 <= int(stripped) <= 1000):
        raise ValueError(f"must be a whole number from 1 to 1000, or auto, not {text!r}")
    return int(stripped)


THREADS = ValueType(
    "threads", "a whole number from 1 to 1000, or auto", parse_threads, lambda value: str(value) if value else "auto"
)
CALLABLE = ValueType("callable", "module:callable", parse_callable)
APP = ValueType("app", "module:attribute or module:factory()", parse_app)
HEADER = ValueType("header", "Name: value", parse_header, separator="\n")
PEERS = ValueType("peers", "addresses, networks, unix or *, comma-separated", parse_peers)
FORWARDED = ValueType("forwarded", "off, or names of fields, comma-separated", parse_forwarded_fields)
REQUEST_ID = ValueType("request-id", "off or a header's name", parse_request_id)
URL_PATH = ValueType("url-path", "a path that begins with /", parse_path)
URL_PREFIX = ValueType("url-prefix", "a path that begins with / and does not end with it", parse_prefix)
ACCESS_LOG = ValueType("access-log", "off, stderr, - (standard output) or a path", parse_access_log)
ACCESS_LOG_FORMAT = ValueType(
    "access-log-format",
    f"{', '.join((AUTO, JSON, *FORMATS))} or a format such as %(h)s %(s)s",
    parse_access_log_format,
)
LOG_LEVEL = choice("debug", "info", "warning", "error")
