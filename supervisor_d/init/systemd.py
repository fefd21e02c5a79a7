"""A plan as units of systemd 247 or later. Pure.

The sandbox is as tight as a web application bears without being asked; `systemd-analyze security` says 1.2, or 1.3
where a home directory is needed. Every directive in it may be taken back in a drop-in, with `systemctl edit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

from supervisor_d.control.socket_path import OFF
from supervisor_d.errors import ConfigurationError
from supervisor_d.init.grants import CREDENTIALS, Grants, absolute, directory_of, grants_of, unix_paths
from supervisor_d.init.plan import Plan
from supervisor_d.init.upstream import is_for_all
from supervisor_d.settings.declaration import DaemonSettings
from supervisor_d.settings.values.address import TcpAddress, UnixAddress, parse_address

STOP_MARGIN_S: Final = 5
"""What systemd waits longer than the daemon's own budget for a stop. Chosen; a busy machine starts processes late."""

WATCHDOG_S: Final = 30
"""How long the master's loop may be silent. Chosen; it turns every half of this, whatever else happens."""

HIDDEN_BY_PROTECT_HOME: Final = ("/home", "/root", "/run/user")
HIDDEN_BY_PRIVATE_TMP: Final = ("/tmp", "/var/tmp")

SANDBOX: Final = """\
# The application may write nothing but its runtime directory; give it room with StateDirectory= or ReadWritePaths=.
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
LockPersonality=yes
# Not for applications that compile at run time (numba, PyPy).
MemoryDenyWriteExecute=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
""".splitlines()

SERVICE: Final = """\
# {origin}
[Unit]
Description={name} (ASGI application under supervisor-d)
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target
# Never given up: an application that waits for its database may fail for as long as that takes.
StartLimitIntervalSec=0
{requires}
[Service]
# Started, and reloaded, only when enough workers are ready.
Type=notify
WorkingDirectory={directory}
ExecStart={command}
{reload}
# The master alone is told to stop; it drains the workers within {stop} s (shutdown-delay, graceful-timeout, 3 s).
KillMode=mixed
TimeoutStopSec={stop_timeout}
TimeoutStartSec={start_timeout}
WatchdogSec={watchdog}
Restart=on-failure
RestartSec=1
# Exit code 2: the settings are wrong, and stay so.
RestartPreventExitStatus=2
# A worker that the kernel kills for memory is replaced by the master; the others are left alone.
OOMPolicy=continue
{grants}
"""

INSTALL: Final = """\

[Install]
WantedBy=multi-user.target
"""

SOCKET: Final = """\
# {origin}
# The listeners outlive the service: what connects while it restarts waits in the queue instead of being refused.
[Unit]
Description=Listeners of {name} (ASGI application under supervisor-d)

[Socket]
{listeners}
Backlog={backlog}
SocketMode={mode:04o}
{owner}
[Install]
WantedBy=sockets.target
"""


REQUIRES: Final = """\
# A Unix socket of --bind is where only systemd can make it: `supervisor-d init systemd --socket` prints the unit.
Requires=%N.socket
After=%N.socket
"""

COPIES: Final = """\
# The service's user cannot read these: systemd hands it copies, made at each start. A renewed one needs a restart."""


def service(
    plan: Plan,
    front_group: str = "",
    *,
    origin: str = "Printed by `supervisor-d init systemd`.",
    is_template: bool = False,
) -> str:
    """The .service unit; ConfigurationError for what cannot start in one.

    In a template the plan's texts are a unit's own, with specifiers such as %i.
    """
    quoted = str if is_template else word
    if (ready_fd := plan.settings.daemon.ready_fd) != DaemonSettings().ready_fd:
        raise ConfigurationError(f"ready-fd: must be off under systemd, which is told by Type=notify, not {ready_fd}")
    grants = grants_of(plan, front_group)
    head = SERVICE.format(
        origin=origin,
        name=plan.name,
        requires=REQUIRES if grants.needs_socket_unit else "",
        directory=plan.directory if is_template else percent(plan.directory),
        command=" ".join(map(quoted, (*plan.program, "run", *grants.arguments))),
        reload=reload_lines(plan, quoted),
        stop=f"{plan.stop_s:g}",
        stop_timeout=int(-(-plan.stop_s // 1)) + STOP_MARGIN_S,
        start_timeout=int(-(-plan.boot_s // 1)) + STOP_MARGIN_S,
        watchdog=WATCHDOG_S,
        grants="\n".join(granted(grants, str if is_template else place)),
    )
    return head + "\n".join([*users(grants), *homes(plan.needs, grants.writable), *SANDBOX]) + "\n" + INSTALL


def granted(grants: Grants, placed: Callable[[str], str]) -> Iterator[str]:
    """Who the service is, and what is its own."""
    for directive in dict.fromkeys(directive for directive, _ in grants.directories):
        names = [placed(name) for found, name in grants.directories if found == directive]
        yield f"{directive}={' '.join(names)}"
    if grants.credentials:
        yield COPIES
    yield from (f"LoadCredential={identity}:{percent(path)}" for identity, path in grants.credentials)
    yield f"User={percent(grants.user)}" if grants.user else "DynamicUser=yes"
    if grants.group:
        yield f"Group={percent(grants.group)}"


def reload_lines(plan: Plan, quoted: Callable[[str], str]) -> str:
    """How `systemctl reload` asks for one; with a control socket it gets the outcome."""
    setting = plan.settings.daemon.control_socket
    if setting == OFF:
        return (
            "# There is no control socket that could tell the verdict; it is in the log.\nExecReload=kill -HUP $MAINPID"
        )
    place = quoted(setting) if setting else f"%t/supervisor-d/{plan.name}/control.sock"
    program = " ".join(map(quoted, plan.program))
    return (
        "# Waits for the verdict: `systemctl reload` fails when the new generation was rolled back, and says why.\n"
        f"ExecReload={program} ctl --socket {place} reload"
    )


def users(grants: Grants) -> list[str]:
    """What the service's user may: nothing at all, or bind a low port, which a private user cannot."""
    if grants.needs_low_port:
        return [
            "# For a port below 1024; not needed when the .socket unit listens.",
            "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
            "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        ]
    return ["PrivateUsers=yes", "CapabilityBoundingSet="]


def homes(needs: Iterable[str], writable: Iterable[str] = ()) -> Iterator[str]:
    """The home directories, hidden; of what is needed below them, and below /tmp, no more than that is shown."""
    hidden = (*HIDDEN_BY_PROTECT_HOME, *HIDDEN_BY_PRIVATE_TMP)
    read, write = outermost(needs), outermost(writable)
    at_home = [path for path in (*read, *write) if is_below(path, HIDDEN_BY_PROTECT_HOME)]
    yield f"ProtectHome={'tmpfs' if at_home else 'yes'}"
    for path in (*(path for path in at_home if path in read), *(path for path in read if path not in at_home)):
        if is_below(path, hidden):
            yield f"BindReadOnlyPaths={place(path)}"
    for path in write:
        yield f"{'BindPaths' if is_below(path, hidden) else 'ReadWritePaths'}={place(path)}"


def place(path: str) -> str:
    """One path of a list of them, in which a colon has a meaning."""
    return word(path.replace(":", "\\:"))


def outermost(paths: Iterable[str]) -> list[str]:
    """The paths that are not below another of them."""
    given = list(dict.fromkeys(paths))
    return [path for path in given if not any(other != path and is_below(path, (other,)) for other in given)]


def is_below(path: str, places: Iterable[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(place) for place in places)


def socket(
    plan: Plan, front_group: str = "", *, origin: str = "Printed by `supervisor-d init systemd --socket`."
) -> str:
    """The .socket unit that opens what `bind` says; ConfigurationError for what a unit cannot open."""
    daemon = plan.settings.daemon
    lines = [line for text in daemon.bind for line in listen_lines(text, plan.directory)]
    if not lines:
        raise ConfigurationError("bind: must name an address for a .socket unit to open, not only descriptors")
    return SOCKET.format(
        origin=origin,
        name=plan.name,
        listeners="\n".join(lines),
        backlog=daemon.backlog,
        mode=daemon.unix_mode,
        owner="".join(f"{line}\n" for line in owner(plan, front_group)),
    )


def owner(plan: Plan, front_group: str) -> list[str]:
    """Whose the Unix sockets are; ConfigurationError where no client could connect, or they would not last."""
    daemon = plan.settings.daemon
    paths = list(unix_paths(plan))
    for path in paths:
        if made := directory_of(str(PurePosixPath(path).parent)):
            raise ConfigurationError(
                f"bind: must not be in {made[0]}={made[1]} for a .socket unit, not unix:{path}: systemd removes that "
                f"directory, and the socket in it, whenever the service stops; say unix:/run/{plan.name}.sock"
            )
    group = front_group or daemon.group
    if not paths or (is_for_all(plan.settings) and not group):
        return []
    if group:
        return [f"SocketGroup={percent(group)}"]
    if daemon.user:
        return [f"SocketUser={percent(daemon.user)}"]
    raise ConfigurationError(
        f"unix-mode: {daemon.unix_mode:04o} lets nobody but root connect to unix:{', unix:'.join(paths)}; give "
        "--front-group with the front end's group (www-data, nginx), or --unix-mode 0666"
    )


def listen_lines(text: str, directory: str) -> list[str]:
    """What opens one address of `bind`; nothing for a descriptor, which another program opens."""
    address = parse_address(text)
    if isinstance(address, UnixAddress):
        return [f"ListenStream={percent(address.path if address.is_abstract else absolute(directory, address.path))}"]
    if not isinstance(address, TcpAddress):
        return []
    if ":" in address.host:
        host, percented, interface = address.host.partition("%")
        where = f"{TcpAddress(host, address.port)}{percented}{interface}"  # systemd has it behind the port
        return [f"ListenStream={percent(where)}", "BindIPv6Only=ipv6-only"]
    if not address.host.replace(".", "").isdigit():
        raise ConfigurationError(f"bind: must be a numeric address for a .socket unit, not {text}")
    return [f"ListenStream={address}"]


def word(text: str) -> str:
    """One word of a command line in a unit (systemd.service(5), "Command lines")."""
    if text.startswith(CREDENTIALS):
        return CREDENTIALS + word(text.removeprefix(CREDENTIALS))
    escaped = percent(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"' if not text or set(text) & set(" \t\"'\\;") else escaped


def percent(text: str) -> str:
    """A text in which % is no specifier."""
    return text.replace("%", "%%")
