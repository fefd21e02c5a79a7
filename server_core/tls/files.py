"""Where the files of TLS are read: where the settings name them, or from copies behind descriptors. Opens nothing.

A master keeps copies of what it has verified, and its workers read these (contract/spec.py, "Certificates"): on the
disk a pair may be half renewed when a worker is replaced. The ssl module reads a private key from a path only. So a
copy is opened by its path below /proc (proc_pid_fd(5)), which gives each reader an offset of its own. Rejected: a file
with a name on some disk, which others could open, and which a master that is killed would leave behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

from server_core.records import dataclass
from server_core.settings.declaration import ServerSettings

COPIES: Final = "/proc/self/fd"
"""Where a process finds its own descriptors by path. (/dev/fd of macOS would share the offset.)"""


def tls_paths(settings: ServerSettings) -> list[tuple[str, str]]:
    """The setting's name and the path of each file of TLS, in the order in which copies of them are passed on."""
    named = [("ssl_certfile", path) for path in settings.ssl_certfile]
    named += [("ssl_keyfile", path) for path in settings.ssl_keyfile]
    return named + [("ssl_ca_certs", settings.ssl_ca_certs)] * bool(settings.ssl_ca_certs)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The copies that are read in place of files: descriptors by path."""

    copies: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(settings: ServerSettings, copies: Sequence[int]) -> TlsFiles:
        """With these copies, in the order of tls_paths(), or with none. ValueError if there are too few or many."""
        if not copies:
            return ON_DISK
        return TlsFiles(dict(zip((path for _, path in tls_paths(settings)), copies, strict=True)))

    def place(self, path: str) -> str:
        """Where the file that the settings call by this path is to be opened."""
        copy = self.copies.get(path)
        return path if copy is None else f"{COPIES}/{copy}"


ON_DISK: Final = TlsFiles()
"""Each file is read where the settings name it."""
