"""Where a control socket lives: the daemon's choice of a place, and how `ctl` finds it again.

An address is a path, or `@NAME` for a socket in Linux' abstract namespace, which needs no writable disk. The first
half is pure: which places, in which order. The second half looks at the machine, and only looks: what it finds may be
dead, and only a connection tells (control.client).

Two halves must agree: whatever place the daemon takes by default, `found` looks at. The exception is a
RuntimeDirectory= of systemd that is not below /run/supervisor-d: the unit's environment knows it, a shell does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

OFF: Final = "off"
RUN: Final = Path("/run/supervisor-d")
ABSTRACT_PREFIX: Final = "@supervisor-d/"
ENDING: Final = "~"
"""What comes before the ending of an abstract name whose usual form another user has taken; no file_name holds it."""
UNIX_TABLE: Final = Path("/proc/net/unix")

PATH_LIMIT: Final = 107
"""Bytes of a path in sockaddr_un on Linux, without the final NUL (unix(7): sun_path has 108)."""


def places(setting: str, name: str, environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """Where the daemon called `name` of this user may put its socket, best first; none if it is switched off.

    `setting` is control-socket: empty for the usual places, else `off`, `@NAME` or a path, which is the only place.
    Of the usual places, a later one is taken only if the earlier ones cannot be made.
    """
    if setting.strip().lower() == OFF:
        return ()
    if setting:
        return (setting,)
    usual: list[str] = []
    runtime_directory = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]  # systemd.exec(5): several are joined by :
    if runtime_directory:
        usual.append(str(Path(runtime_directory, "control.sock")))
    user_directory = environ.get("XDG_RUNTIME_DIR", "")
    if user_directory:
        usual.append(str(Path(user_directory, "supervisor-d", f"{file_name(name)}.sock")))
    usual.append(str(RUN / f"{file_name(name)}.sock"))
    usual.append(f"{ABSTRACT_PREFIX}{uid}/{file_name(name)}")
    return tuple(usual)


def file_name(name: str) -> str:
    """The name as one part of a path: a slash in it must not lead elsewhere, nor a dot at its front."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "app"


def is_abstract(address: str) -> bool:
    return address.startswith("@")


def socket_address(address: str) -> str:
    """What the socket calls take: an abstract name begins with a NUL there."""
    return "\0" + address[1:] if is_abstract(address) else address


def called(address: str) -> str:
    """What to call the daemon at this address: the name of its socket, or of the directory that is its own."""
    if is_abstract(address):
        own = address.removeprefix(ABSTRACT_PREFIX).partition(ENDING)[0]
        return re.sub(r"^[0-9]+/", "", own).removeprefix("@")
    path = Path(address)
    return path.parent.name if path.name == "control.sock" else path.stem


def found(environ: Mapping[str, str], run: Path = RUN, unix_table: Path = UNIX_TABLE) -> list[str]:
    """Every address in the usual places where a daemon of any name may listen, without duplicates."""
    addresses: list[str] = []
    runtime_directory = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime_directory:
        addresses += sockets_in(Path(runtime_directory), "control.sock")
    if environ.get("XDG_RUNTIME_DIR"):
        addresses += sockets_in(Path(environ["XDG_RUNTIME_DIR"], "supervisor-d"), "*.sock")
    addresses += sockets_in(run, "*.sock") + sockets_in(run, "*/control.sock")
    addresses += abstract_sockets(unix_table)
    return list(dict.fromkeys(addresses))


def sockets_in(directory: Path, pattern: str) -> list[str]:
    """Sockets below a directory, in order; none where it is missing or may not be read."""
    try:
        return sorted(str(path) for path in directory.glob(pattern) if path.is_socket())
    except OSError:  # EACCES, or it vanished while it was read
        return []


def abstract_sockets(unix_table: Path) -> list[str]:
    """Our abstract sockets in the kernel's table, which shows them with an @ (proc(5)); none where there is none."""
    try:
        lines = unix_table.read_text("utf-8", "replace").splitlines()[1:]
    except OSError:  # not Linux, or /proc is not mounted
        return []
    names = (line.split(" ")[-1] for line in lines)
    # Established connections show the name of the listener that accepted them; it is the same address.
    return sorted({name for name in names if name.startswith(ABSTRACT_PREFIX)})
