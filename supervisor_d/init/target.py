"""The machine that a printed file is for, as far as it differs from this process on this machine."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from supervisor_d.settings.consistency import ThisHost
from supervisor_d.settings.values.identity import UnknownIdentity, identity_of

KEPT: Final = {
    "/run": "RuntimeDirectory",
    "/var/log": "LogsDirectory",
    "/var/lib": "StateDirectory",
    "/var/cache": "CacheDirectory",
}
"""Below these systemd makes directories that are a service's own, by directive (systemd.exec(5))."""


class Target(ThisHost):
    """This machine once the file is in use: by root's hand, with directories that are made then."""

    def has_directory(self, path: str) -> bool:
        return super().has_directory(path) or any(
            path != root and PurePosixPath(path).is_relative_to(root) for root in KEPT
        )

    def identity_problem(self, user: str, group: str) -> tuple[str, str] | None:
        """Whether there are such a user and group; that only root can become them does not matter here."""
        try:
            identity_of(user, group)
        except UnknownIdentity as error:
            return error.setting, str(error)
        return None
