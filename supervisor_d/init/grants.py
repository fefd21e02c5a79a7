"""What a unit has to grant a command line, path by path, so that it starts: directories, credentials, who it is. Pure.

The sandbox lets the service write nothing, and its user (DynamicUser=) owns nothing. So each path that the settings
name is looked at: systemd makes the directory, or copies the file, or opens the socket; what none of them can give is
refused by the setting's name. Found out at the first start it would be exit code 2 or 4, for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from supervisor_d.control.socket_path import OFF, is_abstract
from supervisor_d.errors import ConfigurationError
from supervisor_d.init.plan import Plan
from supervisor_d.init.target import KEPT
from supervisor_d.init.upstream import is_for_all
from supervisor_d.settings.application.location import NO_FILES
from supervisor_d.settings.values.address import TcpAddress, UnixAddress, parse_address

SYSTEMS: Final = ("user", "systemd", "dbus", "lock", "udev", "log", "private", "credentials", "nscd")
"""Directories in /run that others own: one that is a service's RuntimeDirectory= is taken from them."""

CREDENTIALS: Final = "${CREDENTIALS_DIRECTORY}/"
"""What systemd puts in its place in a command line; %d would need systemd 250."""

TLS_FILES: Final = ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs")

PRIVILEGED_PORTS: Final = 1024


@dataclass(frozen=True, slots=True)
class Grants:
    """`directories` are systemd's to make, each with its directive; `credentials` are copied, by their ids."""

    arguments: tuple[str, ...]
    directories: tuple[tuple[str, str], ...]
    writable: tuple[str, ...]
    credentials: tuple[tuple[str, str], ...]
    user: str
    group: str
    needs_socket_unit: bool
    """Whether a Unix socket is where only the .socket unit can make it."""
    needs_low_port: bool


def grants_of(plan: Plan, front_group: str = "") -> Grants:
    """What the plan's unit has to grant; ConfigurationError for what it cannot."""
    daemon = plan.settings.daemon
    credentials = dict(credentials_of(plan))
    sockets = [UnixAddress(path) for path in unix_paths(plan)]
    own = [socket for socket in sockets if directory_of(parent(socket.path))]
    if own:
        check_group(plan, own, front_group)
    if not daemon.user:
        refuse_closed(plan, credentials)
    directories, writable = [("RuntimeDirectory", f"supervisor-d/{plan.name}")], []
    directories += [found for socket in own if (found := directory_of(parent(socket.path)))]
    for setting, path in written(plan):
        found = directory_of(parent(path))
        if found:
            directories.append(found)
        elif daemon.user and parent(path) not in KEPT:
            writable.append(parent(path))
        else:
            refuse_place(plan, setting, path)
    return Grants(
        arguments=tuple(with_credentials(plan, credentials)),
        directories=tuple(dict.fromkeys(directories)),
        writable=tuple(dict.fromkeys(writable)),
        credentials=tuple((identity, path) for path, identity in credentials.items()),
        user=daemon.user,
        group=daemon.group or ("" if daemon.user or not own or is_for_all(plan.settings) else front_group),
        needs_socket_unit=len(own) < len(sockets),
        needs_low_port=any(map(is_low, (*daemon.bind, *filter(None, [daemon.admin_bind])))),
    )


def unix_paths(plan: Plan) -> Iterator[str]:
    """The paths of the Unix sockets that `bind` names."""
    for address in map(parse_address, plan.settings.daemon.bind):
        if isinstance(address, UnixAddress) and not address.is_abstract:
            yield absolute(plan.directory, address.path)


def written(plan: Plan) -> Iterator[tuple[str, str]]:
    """The files that the service makes by itself, by setting."""
    daemon, server = plan.settings.daemon, plan.settings.server
    if daemon.control_socket not in ("", OFF) and not is_abstract(daemon.control_socket):
        yield "control-socket", absolute(plan.directory, daemon.control_socket)
    if daemon.admin_bind:
        address = parse_address(daemon.admin_bind)
        if isinstance(address, UnixAddress) and not address.is_abstract:
            yield "admin-bind", absolute(plan.directory, address.path)
    if server.access_log not in NO_FILES:
        path = absolute(plan.home, server.access_log)
        if not path.startswith("/dev/"):
            yield "access-log", path


def absolute(directory: str, path: str) -> str:
    """The path from the root; /var/run is /run (file-hierarchy(7))."""
    found = os.path.normpath(os.path.join(directory, path))
    return found.removeprefix("/var") if found.startswith("/var/run/") else found


def parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def directory_of(path: str) -> tuple[str, str] | None:
    """The directive and the name by which systemd makes this directory for the service; None if it cannot."""
    for root, directive in KEPT.items():
        below = PurePosixPath(path)
        if below.is_relative_to(root) and path != root:
            name = below.relative_to(root)
            return None if name.parts[0] in SYSTEMS else (directive, str(name))
    return None


def is_low(text: str) -> bool:
    address = parse_address(text)
    return isinstance(address, TcpAddress) and 0 < address.port < PRIVILEGED_PORTS


def credentials_of(plan: Plan) -> Iterator[tuple[str, str]]:
    """The files that systemd hands over as copies, with their ids: those of TLS, and a config that few may read.

    All of TLS, even a certificate that every user may read: a pair must be of one moment.
    """
    number = 0
    for setting in TLS_FILES:
        value = getattr(plan.settings.server, setting)
        for path in (value,) if isinstance(value, str) else value:
            if path:
                number += 1
                yield absolute(plan.home, path), f"tls-{number}"
    config = plan.settings.daemon.config
    if config and absolute(plan.directory, config) in plan.closed:
        yield absolute(plan.directory, config), "config"


def with_credentials(plan: Plan, credentials: dict[str, str]) -> Iterator[str]:
    """The arguments, with the copies in the place of what they are of.

    Files that the config names are named by flags, which overrule it.
    """
    flags = {f"--{setting.replace('_', '-')}" for setting in TLS_FILES}
    words = iter(plan.arguments)
    for word in words:
        if word in flags:
            next(words)
        elif word == "--config":
            path = next(words)
            yield from (word, f"{CREDENTIALS}{credentials[path]}" if path in credentials else path)
        else:
            yield word
    for setting in TLS_FILES:
        value = getattr(plan.settings.server, setting)
        for path in (value,) if isinstance(value, str) else value:
            if path:
                yield from (f"--{setting.replace('_', '-')}", CREDENTIALS + credentials[absolute(plan.home, path)])


def check_group(plan: Plan, sockets: Iterable[UnixAddress], front_group: str) -> None:
    """Refuse Unix sockets that no front end could connect to."""
    daemon = plan.settings.daemon
    if is_for_all(plan.settings):
        return
    if daemon.user and front_group and front_group != daemon.group:
        raise ConfigurationError(
            f"group: must be {front_group}, the front end's (--front-group), since a socket that {daemon.user} makes "
            f"has the service's group, not {daemon.group or 'the one of ' + daemon.user}"
        )
    if not daemon.user and not front_group:
        raise ConfigurationError(
            f"unix-mode: {daemon.unix_mode:04o} lets no front end connect to {', '.join(map(str, sockets))}, whose "
            "group is the service's own; give --front-group with the front end's group (www-data, nginx), or "
            "--unix-mode 0666"
        )


def refuse_closed(plan: Plan, credentials: dict[str, str]) -> None:
    """Refuse files and directories that a user who is not known before the start could not read."""
    closed = [path for path in plan.closed if path not in credentials]
    if closed:
        raise ConfigurationError(
            f"user: must be given, since {', '.join(closed)} is closed to other users, and the unit's own user "
            "(DynamicUser=) is one; give --user, or open it with chmod o+rX"
        )


def refuse_place(plan: Plan, setting: str, path: str) -> None:
    directory = "/var/log" if setting == "access-log" else "/run"
    example = "access.log" if setting == "access-log" else f"{setting.partition('-')[0]}.sock"
    who = plan.settings.daemon.user or "the unit's user"
    raise ConfigurationError(
        f"{setting}: must be in a directory of its own below {directory}, which systemd makes, such as "
        f"{directory}/{plan.name}/{example}; {who} may not write to {path}"
    )
