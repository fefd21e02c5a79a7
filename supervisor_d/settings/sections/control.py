"""How the master is found, asked and watched."""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.option import TEXT, option
from supervisor_d.settings.values.value_types import (
    ADMIN_BIND,
    CONTROL_SOCKET,
    HOSTS,
    NAME,
    PID_FILE,
    READY_FD,
    STATSD,
    STATSD_PREFIX,
    STATSD_TAGS,
    TITLE,
)


@dataclass(frozen=True, kw_only=True)
class ControlSettings:
    """A part of DaemonSettings."""

    __slots__ = ()

    name: str = option(
        "",
        kind=NAME,
        section="control",
        reloads=False,
        help="What this daemon is called in ctl, logs and the control socket's place; from APP if not given.",
    )
    statsd: str = option(
        "",
        kind=STATSD,
        section="control",
        reloads=False,
        help="StatsD server that is told once a second what was counted, in gunicorn's names: HOST:PORT (UDP) or "
        "unix:PATH. A name is looked up once, at start.",
    )
    statsd_prefix: str = option(
        "",
        kind=STATSD_PREFIX,
        section="control",
        reloads=False,
        help="What each metric's name at the StatsD server begins with, before gunicorn.requests and its like.",
    )
    statsd_tags: str = option(
        "",
        kind=STATSD_TAGS,
        section="control",
        reloads=False,
        help="Tags of each metric, for a server that speaks DogStatsD: name:value, comma-separated.",
    )
    proc_title: str = option(
        "",
        kind=TITLE,
        section="control",
        reloads=False,
        help="What ps(1) shows of the processes, with their roles: TITLE: master, TITLE: worker 1 (generation 2). Cut "
        "to the length of the command that it replaces, and to 15 bytes in the name (ps -o comm, top).",
    )
    pid_file: str = option(
        "",
        kind=PID_FILE,
        section="control",
        reloads=False,
        help="File with the master's pid, written before it listens and removed at its end. One that names a living "
        "process is a reason not to start; a symbolic link is not followed.",
    )
    ready_fd: int = option(
        0,
        kind=READY_FD,
        section="control",
        reloads=False,
        help="Descriptor that a supervisor (s6, dinit) opened to hear that the daemon is ready: one newline is written "
        "when enough workers are, and the descriptor closed. Off if not given.",
    )
    control_socket: str = option(
        "",
        kind=CONTROL_SOCKET,
        section="control",
        reloads=False,
        help="Path of the control socket, @NAME for an abstract one, or off; a usual place if not given.",
    )
    admin_bind: str = option(
        "",
        kind=ADMIN_BIND,
        section="control",
        reloads=False,
        help="Where /healthz, /readyz and /metrics are answered by the master, to anybody and read-only: an address as "
        "bind has it, or off; off if not given. For probes and scrapes from outside of the machine.",
    )
    admin_hosts: str = option(
        "",
        kind=HOSTS,
        section="control",
        reloads=False,
        help="Names that requests at admin-bind may have in Host besides its own addresses, comma-separated; * is any. "
        "Others are answered 421, so that no page in a browser can read the figures by DNS rebinding.",
    )
    config: str = option(
        "",
        kind=TEXT,
        section="control",
        reloads=False,
        flags=("-c",),
        help="TOML file with settings by their long names.",
    )
