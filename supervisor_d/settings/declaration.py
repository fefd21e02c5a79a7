"""The supervisor half of the declaration; the server half is server_core/settings/declaration.py.

Everything else is derived.
"""

from __future__ import annotations

from server_core.records import dataclass
from server_core.settings.declaration import ServerSettings
from server_core.settings.option import (
    BYTES,
    COUNT,
    MODE,
    PATH,
    SECONDS,
    SWITCH,
    TEXT,
    at_least,
    between,
    choice,
    off_or_at_least,
    option,
)
from supervisor_d.settings.sections.control import ControlSettings
from supervisor_d.settings.values.address import ADDRESS
from supervisor_d.settings.values.value_types import (
    AUTO,
    UMASK,
    UNTOUCHED,
    WORKERS,
    WORKERS_MAX,
    mode_of_a_socket,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings(ControlSettings):
    """What the master does; durations in seconds, sizes in bytes."""

    bind: tuple[str, ...] = option(
        ("127.0.0.1:8000",),
        kind=ADDRESS,
        section="listeners",
        reloads=False,
        repeatable=True,
        flags=("-b",),
        environment=("PORT",),
        help="Where to listen: HOST:PORT, :PORT (every IPv4 interface), [::]:PORT (every IPv6 one), unix:PATH, "
        "unix:@NAME, fd://N or fd://NAME; may be given several times. The variable PORT means 0.0.0.0:PORT. "
        "With systemd socket activation its sockets are used, all or those named here, and of these only fd://.",
    )
    backlog: int = option(
        2048,
        kind=COUNT,
        section="listeners",
        reloads=False,
        check=between(1, 65535),
        help="Length of a listener's accept queue (listen(2)).",
    )
    unix_mode: int = option(
        0o660,
        kind=MODE,
        section="listeners",
        reloads=False,
        check=mode_of_a_socket,
        help="File mode of Unix sockets that are bound here.",
    )
    unix_rebind: bool = option(
        True,
        kind=SWITCH,
        section="listeners",
        reloads=False,
        help="Bind a Unix socket anew whose file was removed, and reload; else the daemon is only not ready.",
    )
    workers: int = option(
        1,
        kind=WORKERS,
        section="workers",
        flags=("-w",),
        environment=("WEB_CONCURRENCY",),
        help="Number of workers; auto counts the CPUs this process may use, capped by the cgroup's quota; where its "
        "memory is limited, it begins with one worker, weighs that, and adds as many as fit.",
    )
    max_workers: int = option(
        AUTO, kind=WORKERS, section="workers", help="Most workers that scaling reaches; auto: 16 a CPU, at least 32."
    )
    user: str = option(
        "",
        kind=TEXT,
        section="workers",
        reloads=False,
        help="User that workers run as, a name or a number, with its groups; the master must be root, and stays it.",
    )
    group: str = option(
        "",
        kind=TEXT,
        section="workers",
        reloads=False,
        help="Group that workers have instead of the user's own, a name or a number; Unix sockets get it, too.",
    )
    timeout: float = option(
        30.0,
        kind=SECONDS,
        section="timeouts",
        check=off_or_at_least(1),
        help="Longest silence of a worker's event loop before it is taken for hung, recorded and replaced; 0 is no "
        "limit: no hang is noticed.",
    )
    boot_timeout: float = option(
        60.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0.1),
        help="Longest time from spawning a worker to its being ready.",
    )
    shutdown_delay: float = option(
        0.0,
        kind=SECONDS,
        section="timeouts",
        check=at_least(0),
        help="After SIGTERM: not ready at once, but still accepting for this long, until load balancers know.",
    )
    reload: bool = option(
        False,
        kind=SWITCH,
        section="reload",
        reloads=False,
        help="For development: reload when a file is saved. The new code boots beside the old, which serves on if that "
        "fails. With watchfiles where it is installed. Clients of old workers are moved within 0.1 s (drain-spread).",
    )
    reload_dir: tuple[str, ...] = option(
        (),
        kind=PATH,
        section="reload",
        reloads=False,
        repeatable=True,
        help="Directory that reload watches, with all below it; that of the application if not given.",
    )
    reload_include: tuple[str, ...] = option(
        ("*.py",),
        kind=TEXT,
        section="reload",
        reloads=False,
        repeatable=True,
        help="Pattern of the names of files whose saves count.",
    )
    reload_exclude: tuple[str, ...] = option(
        (),
        kind=TEXT,
        section="reload",
        reloads=False,
        repeatable=True,
        help="Pattern of files whose saves do not count, besides hidden ones and those that editors and Python make.",
    )
    reload_delay: float = option(
        0.05,
        kind=SECONDS,
        section="reload",
        reloads=False,
        check=at_least(0.001),
        help="How long no other file may have been saved before a reload begins.",
    )
    soak: float = option(
        0.0,
        kind=SECONDS,
        section="reload",
        check=at_least(0),
        help="How long the first new worker, and then the whole new generation, is watched before a reload goes on.",
    )
    chdir: str = option(
        "",
        kind=PATH,
        section="application",
        help="Directory that each generation of workers enters before it imports the application; the working "
        "directory if not given. A symlink in its path is followed anew at each reload. What application, server, TLS "
        "and logs call by a relative path, app-dir, too, is relative to it.",
    )
    pythonpath: tuple[str, ...] = option(
        (),
        kind=PATH,
        section="application",
        repeatable=True,
        help="Directories and archives put on the application's import path, before app-dir, in this order; may be "
        "given several times.",
    )
    env_file: str = option(
        "",
        kind=PATH,
        section="application",
        help="File with variables for the application, in python-dotenv's syntax; what the environment has already "
        "is kept. Workers are started with them, settings are not read from them. Read again at each reload.",
    )
    umask: int = option(
        UNTOUCHED,
        kind=UMASK,
        section="workers",
        help="Permissions that files made by workers do not get (umask(2)), in octal; inherit: as the daemon was "
        "started. Unless unix-mode is given, Unix sockets get mode 0777 without these, as gunicorn's do.",
    )
    template: bool = option(
        True,
        kind=SWITCH,
        section="workers",
        help="Where there is more than one worker: fork those of a generation from a fresh interpreter that has the "
        "server in memory, once for all, and import the application in each. Off: start each by itself. With preload "
        "it changes nothing.",
    )
    preload: bool = option(
        False,
        kind=SWITCH,
        section="workers",
        help="Import the application once for each generation and fork the workers from there: less memory, quick "
        "starts. Where the import leaves threads or sockets behind, workers are started each by itself.",
    )
    surge: int = option(
        1,
        kind=COUNT,
        section="reload",
        check=between(1, WORKERS_MAX),
        help="Workers above the target during a reload.",
    )
    park: bool = option(
        True,
        kind=SWITCH,
        section="reload",
        help="Keep replaced workers until the reload is committed, so that it can be rolled back even when the old "
        "code is gone; costs up to twice the memory meanwhile.",
    )
    max_age: float = option(
        0.0,
        kind=SECONDS,
        section="recycling",
        check=off_or_at_least(1),
        help="Age at which a worker is replaced; 0 is never.",
    )
    max_memory: int = option(
        0,
        kind=BYTES,
        section="recycling",
        check=off_or_at_least(1024**2),
        help="PSS in bytes at which a worker is replaced; 0 is never. Looked at every 30 s, and more often, down to "
        "each second, while a worker is new, grows or is near it: what it grows until the next look comes on top, and "
        "until its successor serves. At 40 MiB a second and a limit of 120 MiB it is found at 141 MiB, and ends at 171 "
        "to 233 MiB (python -m tests.bench.overshoot). Of several that reach it one is replaced after the other.",
    )
    exit_when_failed: str = option(
        "auto",
        kind=choice("auto", "on", "off"),
        section="workers",
        help="Exit non-zero when no worker is left and none can be started; auto is on as PID 1.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole intent: both halves. Values only; where they came from is resolve's to tell."""

    daemon: DaemonSettings
    server: ServerSettings
