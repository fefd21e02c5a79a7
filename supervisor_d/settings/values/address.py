"""Where to listen, as values: the syntax of `bind`, checked before anything is opened. Pure.

`:PORT` means 0.0.0.0:PORT and `[::]:PORT` means IPv6 alone; who wants both says both. Rejected: one dual-stack socket
for `:PORT`, which fails where the kernel has no IPv6 and shows IPv4 clients as ::ffff:1.2.3.4. A bare port or a bare
host is refused: servers read them differently, and a guess may listen to the whole world.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, TypeAlias

from server_core.records import dataclass
from server_core.settings.option import ValueType

UNIX_PATH_MAX: Final = 107
"""Bytes of a Unix socket's path: sun_path holds 108 with the final NUL (unix(7))."""

ACCEPTS: Final = "HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME, fd://N or fd://NAME"

_SOCKET_NAME = r"[A-Za-z_][!-+.-9;-~-]{0,254}"
"""A FileDescriptorName of systemd: printable ASCII without a colon. Ours has no comma either, since variables are
comma-separated, and begins with a letter, since a number is a descriptor's."""
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host (name or literal, without brackets) and a port; port 0 takes any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A path in the file system, or, beginning with @, a name in the abstract namespace (Linux)."""

    path: str

    @property
    def is_abstract(self) -> bool:
        return self.path.startswith("@")

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """A listening socket that the parent of the daemon left open as this descriptor."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"


@dataclass(frozen=True, slots=True)
class NamedAddress:
    """The listening sockets that systemd passes under this name (FileDescriptorName=; LISTEN_FDNAMES)."""

    name: str

    def __str__(self) -> str:
        return f"fd://{self.name}"


Address: TypeAlias = TcpAddress | UnixAddress | InheritedAddress | NamedAddress


def parse_address(text: str) -> Address:
    """The address in a text; ValueError says what would be accepted."""
    stripped = text.strip()
    if stripped.startswith("fd://"):
        return _inherited(stripped)
    if stripped.startswith("unix:"):
        return UnixAddress(check_unix_path(stripped.removeprefix("unix:")))
    host, colon, port = stripped.rpartition(":")
    if "/" in stripped or not colon or port.endswith("]"):
        raise ValueError(f"must be {ACCEPTS}, not {text!r}; did you mean {_meant(stripped)}?")
    return TcpAddress(_host(host, text), _port(port, text))


def _meant(text: str) -> str:
    """The nearest thing to a text that has no port, or a slash, that would be accepted."""
    scheme, marked, rest = text.partition("://")
    if marked and scheme in ("http", "https", "tcp"):
        return rest.partition("/")[0] or "HOST:PORT"
    if "/" in text:
        return f"unix:{text}" if text.startswith(("/", ".")) else "unix:PATH"
    return f":{text} (every IPv4 interface) or 127.0.0.1:{text}" if text.isdigit() else f"{text or 'HOST'}:PORT"


def check_unix_path(path: str) -> str:
    """The path, if a Unix socket can have it; ValueError if not."""
    if path in ("", "@"):
        raise ValueError("must name a Unix socket's path, or @NAME, not nothing")
    if "\0" in path:
        raise ValueError(f"must not contain a NUL character, as in {path!r}; an abstract socket is @NAME")
    size = len(path.encode("utf-8", "surrogateescape"))
    if size > UNIX_PATH_MAX:
        raise ValueError(f"must be a path of at most {UNIX_PATH_MAX} bytes, not {size}: {path!r}")
    return path


def _inherited(text: str) -> InheritedAddress | NamedAddress:
    called = text.removeprefix("fd://")
    if re.fullmatch(r"[0-9]{1,7}", called):
        return InheritedAddress(int(called))
    if re.fullmatch(_SOCKET_NAME, called):
        return NamedAddress(called)
    raise ValueError(f"must be fd:// and a descriptor's number or a passed socket's name, not {text!r}")


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5) or int(digits) > 65535:
        raise ValueError(f"must end in a port from 0 to 65535, not {digits!r} as in {text!r}")
    return int(digits)


def _host(host: str, text: str) -> str:
    if not host:
        return "0.0.0.0"
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in host:
        if bare == host:
            raise ValueError(f"must have an IPv6 address in brackets, [{host}]:PORT, not {text!r}")
        try:
            address = ipaddress.IPv6Address(bare)
        except ValueError:
            raise ValueError(f"must have an IPv6 address in its brackets, not {text!r}") from None
        if address.is_link_local and address.scope_id is None:
            raise ValueError(f"must name the interface of a link-local address, as [{bare}%eth0]:PORT, not {text!r}")
        return bare
    if not _HOST_NAME.fullmatch(host) or _is_broken_ipv4(host):
        raise ValueError(f"must be {ACCEPTS}, not {text!r}: {host!r} is no host")
    return host


def _is_broken_ipv4(host: str) -> bool:
    """True for digits and dots that are no IPv4 address: getaddrinfo would read 127.1 or 10 in old ways."""
    if host.strip("0123456789."):
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False


ADDRESS: Final = ValueType("address", ACCEPTS, lambda text: str(parse_address(text)))
"""The kind of `bind`: its values are texts in their one spelling; parse_address gives the address again."""
