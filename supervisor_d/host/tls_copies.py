"""The files of TLS as the workers of one generation read them: copies in memory that no process can change. Host side.

A certificate and its key are two files, and whatever renews them writes one after the other. Between the two, and for
as long as a renewal that failed half-way stays as it is, the pair on the disk is of no use: a worker that crashed then
could not be replaced. So the master copies the files once for a generation, verifies the copies, and passes these on
(contract/spec.py, "Certificates"). What was verified is what is served, even if the disk changes in between. A reload
is what renews them. A password is not among them: it is a setting, and passed on with these.

Each copy is a memfd (memfd_create(2)), sealed against every change, and its only reader by mode is the user that
workers are. It has no name in any directory, so that other processes cannot open it at all, but those that may trace
one that holds it (proc_pid_fd(5)).

With workers of another user (`--user`), that user need not be able to read the files: the master is.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from server_core.settings.declaration import ServerSettings
from server_core.tls.checks import tls_problem
from server_core.tls.files import COPIES, tls_paths
from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.values.identity import Identity


class TlsCopies:
    """Owns the descriptors, which are in the order of tls_paths(); none where the system cannot keep copies."""

    def __init__(self, descriptors: Sequence[int] = ()) -> None:
        self.descriptors = tuple(descriptors)

    def close(self) -> None:
        descriptors, self.descriptors = self.descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)


def copy_tls(settings: ServerSettings, identity: Identity | None) -> TlsCopies:
    """A verified copy of each file that the settings name, for workers that are `identity` (None: what we are).

    None without memfd_create(2) or /proc (not Linux): workers read the files themselves there. ConfigurationError names
    the setting whose file cannot be read or used; OSError if there is no descriptor left, or no memory.
    """
    if sys.platform != "linux" or not os.path.isdir(COPIES):
        return TlsCopies()
    copies: list[int] = []
    try:
        for setting, path in tls_paths(settings):
            copies.append(_sealed(setting, _read(setting, path), identity))
        if copies and (problem := tls_problem(settings, copies)) is not None:
            raise _refusal(*problem)
    except BaseException:  # cleans up and raises it again, whatever it is
        TlsCopies(copies).close()
        raise
    return TlsCopies(copies)


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _refusal(setting, f"cannot read {path}: {error.strerror}") from None


def _refusal(setting: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{setting.replace('_', '-')}: {what}")


def _sealed(setting: str, content: bytes, identity: Identity | None) -> int:
    fd = os.memfd_create(setting, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        os.fchmod(fd, _give_away(fd, identity))
        fcntl.fcntl(
            fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )
    except BaseException:  # closes it and raises it again, whatever it is
        os.close(fd)
        raise
    return fd


def _give_away(fd: int, identity: Identity | None) -> int:
    """Let the workers' user own it; the mode with which that user, and if possible no other, can read it."""
    if identity is None or identity.is_ours:
        return 0o400
    try:
        os.fchown(fd, identity.uid, identity.gid)
    except PermissionError:  # root without CAP_CHOWN, as in some containers: only those that hold it reach it anyway
        return 0o444
    return 0o400
