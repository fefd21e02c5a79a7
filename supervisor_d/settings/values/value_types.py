"""The kinds of value that only the daemon's settings have; the general ones are in server_core/settings/option.py."""

from __future__ import annotations

import ipaddress
import re

from server_core.settings.option import ValueType, parse_text
from supervisor_d.settings.values.address import (
    ACCEPTS,
    InheritedAddress,
    NamedAddress,
    TcpAddress,
    check_unix_path,
    parse_address,
)


def parse_workers(text: str) -> int:
    """A whole number of at least 1, or auto, which is 0 here and counted when the daemon starts."""
    stripped = text.strip().lower()
    if stripped == "auto":
        return AUTO
    if not re.fullmatch(r"-?[0-9]{1,9}", stripped):
        raise ValueError(f"must be a whole number of at least 1, or auto, not {text!r}")
    if int(stripped) < 1:
        raise ValueError(f"must be at least 1, not {int(stripped)}")
    if int(stripped) > WORKERS_MAX:
        raise ValueError(f"must be at most {WORKERS_MAX}, not {int(stripped)}")
    return int(stripped)


def parse_name(text: str) -> str:
    """A daemon's name: it becomes part of file names, so it can hold no slash and begin with no dot."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", text):
        raise ValueError(f"must be letters, digits, '.', '_' or '-', at most 64, not {text!r}")
    return text


def parse_control_socket(text: str) -> str:
    """off, @NAME or a path that a Unix socket can have; nothing means a usual place."""
    if text.lower() in ("", "off"):
        return text.lower()
    return check_unix_path(parse_text(text))


def parse_admin_bind(text: str) -> str:
    """Nothing or off, or an address as bind has it."""
    if text.strip().lower() in ("", "off"):
        return ""
    return str(parse_address(text))


def parse_umask(text: str) -> int:
    """Permission bits in octal, or inherit, which is -1 here as in os.umask's callers (subprocess)."""
    stripped = text.strip().lower()
    if stripped == "inherit":
        return UNTOUCHED
    digits = stripped.removeprefix("0o")
    if not re.fullmatch(r"[0-7]{1,4}", digits) or int(digits, 8) > 0o777:
        raise ValueError(f"must be an octal mask such as 0027, at most 0777, or inherit, not {text!r}")
    return int(digits, 8)


def parse_pid_file(text: str) -> str:
    """Nothing, or the path of a file: no directory."""
    if text and text.rpartition("/")[2] in ("", ".", ".."):
        raise ValueError(f"must be the path of a file, not {text!r}")
    return parse_text(text)


def parse_title(text: str) -> str:
    """Nothing, or characters that a terminal shows as they are."""
    if not text.isprintable() or len(text) > TITLE_MAX or text != text.strip():
        raise ValueError(f"must be at most {TITLE_MAX} printable characters, without spaces around them, not {text!r}")
    return text


def parse_statsd(text: str) -> str:
    """Nothing or off, or where datagrams can be sent to."""
    if text.strip().lower() in ("", "off"):
        return ""
    address = parse_address(text)
    if isinstance(address, InheritedAddress | NamedAddress) or (isinstance(address, TcpAddress) and not address.port):
        raise ValueError(f"must be HOST:PORT or unix:PATH of a server, not {text!r}")
    return str(address)


def parse_statsd_prefix(text: str) -> str:
    """Nothing, or what a metric's name may begin with."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", text):
        raise ValueError(f"must be letters, digits, '.', '_' or '-', not {text!r}")
    return text


def parse_statsd_tags(text: str) -> str:
    """Nothing, or name:value or a name, comma-separated."""
    tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    for tag in tags:
        if not re.fullmatch(r"[^\s|#@:]+(:[^\s|#@]+)?", tag):
            raise ValueError(f"must be name:value, comma-separated, without spaces, | or #, not {tag!r}")
    return ",".join(tags)


def parse_ready_fd(text: str) -> int:
    """The number of a descriptor that is none of the standard streams; 0 is off."""
    stripped = text.strip().lower()
    if stripped in ("", "off"):
        return 0
    if not re.fullmatch(r"[0-9]{1,9}", stripped) or int(stripped) <= 2:
        raise ValueError(f"must be a descriptor's number of at least 3 (0 to 2 are the standard streams), not {text!r}")
    return int(stripped)


def is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def parse_hosts(text: str) -> str:
    """Host names and addresses, comma-separated, in lower case, or *; nothing at all adds none."""
    hosts = [host.strip().lower().rstrip(".") for host in parse_text(text).split(",") if host.strip()]
    for host in hosts:
        if host != "*" and not re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,252}", host) and not is_address(host):
            raise ValueError(f"must be host names or addresses without ports, comma-separated, or *, not {host!r}")
    return ",".join(hosts)


AUTO = 0

UNTOUCHED = -1
"""The umask that leaves it as it is, as subprocess has it."""

WORKERS_MAX = 1024
"""A quarter of the scoreboard's slots: a reload and the replaced workers need further ones (contract.SLOTS_MAX)."""

NAME = ValueType("name", "letters, digits, '.', '_' or '-', at most 64", parse_name)
CONTROL_SOCKET = ValueType("control-socket", "a path, @NAME or off", parse_control_socket)
HOSTS = ValueType("hosts", "host names, comma-separated, or *", parse_hosts)
ADMIN_BIND = ValueType("address", f"off, {ACCEPTS}", parse_admin_bind)
READY_FD = ValueType(
    "descriptor",
    "off, or a descriptor's number of at least 3",
    parse_ready_fd,
    lambda value: str(value) if value else "off",
)
TITLE_MAX = 64
"""Characters. Chosen: as long as a daemon's name."""

TITLE = ValueType("title", f"at most {TITLE_MAX} printable characters", parse_title)
STATSD = ValueType("address", "off, HOST:PORT or unix:PATH", parse_statsd)
STATSD_PREFIX = ValueType("prefix", "letters, digits, '.', '_' or '-'", parse_statsd_prefix)
STATSD_TAGS = ValueType("tags", "name:value, comma-separated", parse_statsd_tags)
PID_FILE = ValueType("path", "the path of a file", parse_pid_file)
UMASK = ValueType(
    "mode",
    "an octal mask: 0027, or inherit",
    parse_umask,
    lambda value: "inherit" if value == UNTOUCHED else f"{value:04o}",
    is_quoted=True,
)
WORKERS = ValueType(
    "workers",
    "a whole number of at least 1, or auto",
    parse_workers,
    lambda value: "auto" if value == AUTO else str(value),
)


def mode_of_a_socket(value: object) -> str | None:
    if isinstance(value, int) and value > 0o777:
        return f"must be at most 0777, not {value:04o}"
    return None
