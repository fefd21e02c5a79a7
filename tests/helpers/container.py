"""What a container engine does around a command, by unshare(1) and setpriv(1): for tests of it, and for showing it.

PID 1 of new pid, mount, user, network, IPC and UTS namespaces; every mount read-only but /proc, as engines leave it;
loopback alone, uid 65534, no capabilities, no HOME. With a root of its own that is pivoted into, or on this machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from supervisor_d.control.client.discovery import VARIABLE
from tests.helpers.daemon import DEADLINE_S, REPOSITORY

NOBODY: Final = 65534
CONTROL: Final = f"@supervisor-d/{NOBODY}/app"
"""Where a daemon called app has its control socket if it can write nowhere."""

TOOLS: Final = ("unshare", "setpriv", "nsenter")

HERE: Final = """\
# What is in a directory that is closed to others is shown in an open one of the same name.
WHERE="${WHERE:-$PWD}"
tops=
for needed in "$BASE" "$PREFIX" "$REPOSITORY" "$WHERE"; do
    if ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$needed/."; then
        tops="$tops /$(echo "$needed" | cut -d/ -f2)"
    fi
done
tops="$(echo "$tops" | tr ' ' '\\n' | sort -u)"
covered() {
    for top in $tops; do
        case "$1" in "$top"/*) return 0 ;; esac
    done
    return 1
}
mount -t tmpfs -o mode=755 tmpfs /mnt
for round in kept shown; do
    number=0
    for needed in "$REPOSITORY" "$WHERE" "$BASE" "$PREFIX"; do
        number=$((number + 1))
        if ! covered "$needed"; then
            continue
        elif [ $round = kept ]; then
            mkdir "/mnt/$number"
            mount --bind "$needed" "/mnt/$number"
        else
            mkdir -p "$needed"
            mount --move "/mnt/$number" "$needed"
        fi
    done
    if [ $round = kept ]; then
        for top in $tops; do mount -t tmpfs -o mode=755 tmpfs "$top"; done
    fi
done
umount /mnt
mount -t tmpfs -o mode=755 tmpfs /run
"""
"""The root is this machine's, but for /run, where daemons of this machine may have their sockets."""

THERE: Final = """\
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount --rbind /dev dev
mkdir -p .old
pivot_root . .old
umount -l .old
"""
"""The root is a directory with a system in it; it has to have util-linux."""

ENTER: Final = """\
set -e
mount --make-rprivate /
"$SYSTEM_PYTHON" - <<'LOOPBACK'
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up and running (netdevice(7))
LOOPBACK
{root}
mount --bind /proc/sys /proc/sys
cut -d" " -f5 /proc/self/mountinfo | sort -u | while read -r place; do
    case "$place" in /proc) ;; *) mount -o remount,bind,ro "$place" || true ;; esac
done 2>/dev/null
cd "${{WHERE:-.}}"
exec env -i $ENVIRONMENT setpriv --reuid=65534 --regid=65534 --clear-groups \\
    unshare --user --map-user=65534 --map-group=65534 --keep-caps \\
    setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
"""


def obstacle(*tools: str, has_users: bool = True) -> str | None:
    """Why there can be no container here, or None if there can; it needs these tools, too.

    Without `has_users` no user namespace is looked for, which in a chroot cannot be made (unshare(2), EPERM).
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root"
    missing = [tool for tool in (*TOOLS, *tools) if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    probe = subprocess.run([*NAMESPACES, *(USERS if has_users else ()), "true"], capture_output=True, check=False)
    return f"no namespaces here: {probe.stderr.decode().strip()}" if probe.returncode else None


NAMESPACES: Final = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "--uts")
"""The user namespace comes last, when there is nothing left to do that needs a capability."""

USERS: Final = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("unshare", "--user", "--map-user=65534", "--map-group=65534"),
)
"""As ENTER makes it."""


def contained(
    *, root: Path | None = None, environ: Mapping[str, str] | None = None, where: str | None = None
) -> list[str]:
    """What goes before a command that is to be in a container; it runs in `where` with nothing but `environ`."""
    given = environ or {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = {
        "BASE": sys.base_prefix,
        "PREFIX": sys.prefix,
        "REPOSITORY": str(REPOSITORY),
        "SYSTEM_PYTHON": sys.executable,
        "ENVIRONMENT": " ".join(f"{name}={value}" for name, value in given.items()),
        **({"ROOT": str(root)} if root is not None else {}),
        **({"WHERE": where} if where is not None else {}),
    }
    script = ENTER.format(root=HERE if root is None else THERE)
    return ["env", *(f"{name}={value}" for name, value in words.items()), *NAMESPACES, "sh", "-c", script, "container"]


def master_of(pid: int) -> psutil.Process:
    """The process that is PID 1 in the container which this one holds."""
    (master,) = psutil.Process(pid).children()
    return master


def beside(master: psutil.Process, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of this machine's Python in the container's network, which has the control socket's name, too.

    `ctl` is told which: it sees the sockets of this machine's daemons as well.
    """
    return subprocess.run(
        ["nsenter", "-t", str(master.pid), "-n", "--", sys.executable, *command],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        env={"PYTHONPATH": str(REPOSITORY), VARIABLE: CONTROL},
    )  # fmt: skip


def writable_mounts(master: psutil.Process) -> list[str]:
    mounts = [line.split() for line in Path(f"/proc/{master.pid}/mountinfo").read_text().splitlines()]
    visible = {mount[4]: mount[5].split(",") for mount in mounts}  # of several at one place the last is seen
    return [place for place, options in visible.items() if "ro" not in options]


def family(master: psutil.Process) -> list[int]:
    return [master.pid, *(child.pid for child in master.children(recursive=True))]


def open_for_writing(pids: Sequence[int]) -> list[str]:
    """Files on any disk that these processes hold open for writing."""
    found = []
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            place = os.readlink(entry)
            info = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().split()
            flags = int(info[info.index("flags:") + 1], 8)
            if place.startswith("/") and not place.startswith(("/memfd:", "/dev/")) and flags & os.O_ACCMODE:
                found.append(place)
    return found


def written_bytes(pids: Sequence[int]) -> int:
    """What these processes have sent to any disk (proc_pid_io(5), write_bytes)."""
    total = 0
    for pid in pids:
        figures = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        total += int(figures["write_bytes"])
    return total
