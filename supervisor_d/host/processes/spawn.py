"""A worker's process: started with every signal blocked, and as the user that it is to be. Host side.

The groups, the group and the user are given up in the child, in that order and before it executes anything: what cannot
be had ends it there (subprocess does that between fork(2) and execve(2)). Then the kernel is asked what it is
(proc_pid_status(5)), with all four ids and the supplementary groups: a process that is half of it is killed, untold.

The master keeps root: it starts every later worker as that user, signals them, reads their memory's size, reads the
configuration again and removes its sockets; and a worker can neither signal nor trace it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from supervisor_d.errors import SpawnError
from supervisor_d.host.processes.interpreter import environment_in
from supervisor_d.settings.values.identity import Identity


def start(
    command: Sequence[str],
    descriptors: Sequence[int],
    environ: Mapping[str, str],
    identity: Identity | None,
    directory: str = "",
    umask: int = -1,
) -> subprocess.Popen[bytes]:
    """A process in which every signal is blocked, so that it cannot be killed or ill-treated while it starts.

    `identity` None: it is what we are; `directory` empty: it is where we are; `umask` -1: ours. Raises SpawnError if
    it cannot be what it is to be, OSError as subprocess does.
    """
    environ, cwd = environment_in(directory, environ), directory or None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        if identity is None or identity.is_ours:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=descriptors, env=environ, cwd=cwd, umask=umask
            )
        return _start_as(identity, command, descriptors, environ, cwd, umask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_as(
    identity: Identity,
    command: Sequence[str],
    descriptors: Sequence[int],
    environ: Mapping[str, str],
    cwd: str | None,
    umask: int,
) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            env=environment_of(identity, environ),
            cwd=cwd,
            umask=umask,
            extra_groups=identity.groups,
            group=identity.gid,
            user=identity.uid,
        )
    except OSError as error:
        is_closed = isinstance(error, (PermissionError, FileNotFoundError))
        reach = f"; can that user execute {sys.executable}?" if is_closed else ""
        raise SpawnError(f"user: no worker can be started as {identity}: {error.strerror or error}{reach}") from None
    found = what_is(process.pid)
    if found is not None and found != wanted(identity):
        process.kill()
        process.wait()
        raise SpawnError(f"user: a worker that was to be {identity} was {found}, and was killed")
    return process


def environment_of(identity: Identity, environ: Mapping[str, str]) -> dict[str, str]:
    """With the user's own home and name, as login(1) and systemd have it: root's home is closed to it."""
    return {**environ, "HOME": identity.home, "USER": identity.user, "LOGNAME": identity.user}


Ids = tuple[frozenset[int], frozenset[int], frozenset[int]]
"""Users (real, effective, saved, of the file system), groups likewise, supplementary groups."""


def wanted(identity: Identity) -> Ids:
    return frozenset((identity.uid,)), frozenset((identity.gid,)), frozenset(identity.groups)


def what_is(pid: int) -> Ids | None:
    """What the process is; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    except OSError:  # not Linux, or it has ended: its exit is reported
        return None
    fields = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    uids, gids, groups = (frozenset(map(int, fields.get(name, "").split())) for name in ("Uid", "Gid", "Groups"))
    return uids, gids, groups


def hand_over(path: str, identity: Identity) -> None:
    """Make the access log's file, if there is none, and give it to the user of the workers, who may not make one there.

    Only a file that is made here changes its owner: one that was there may be another user's, or be something else.
    Raises OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        made = os.open(path, flags, 0o640)
    except FileExistsError:
        return
    try:
        os.fchown(made, identity.uid, identity.gid)
    finally:
        os.close(made)
