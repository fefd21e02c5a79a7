"""What is wrong with the TLS settings, and what soon will be, for those that do not serve TLS themselves.

Here the module of TLS is imported in functions: `ssl` takes 1 MB, and most masters never need it. Without `copies`
(files.py) the files are read where the settings name them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from server_core.settings.declaration import ServerSettings
from server_core.tls.files import TlsFiles

if TYPE_CHECKING:
    from server_core.tls.certificates import Expiry


def mentions_tls(settings: ServerSettings) -> bool:
    """Whether anything of TLS is set, rightly or not."""
    return any(
        getattr(settings, field.name) != field.default for field in fields(settings) if field.name.startswith("ssl_")
    )


def load_tls() -> None:
    """Have what the two below need in memory before it is needed, as code on the disk may be another by then."""
    from server_core.tls import context  # in functions, because ssl takes 1 MB and most masters never need it

    context.load_late_imports()


def tls_problem(settings: ServerSettings, copies: Sequence[int] = ()) -> tuple[str, str] | None:
    """The TLS setting that cannot be used on this machine and what is wrong with it, or None. Reads the files."""
    if not mentions_tls(settings):
        return None
    from server_core.tls import context  # as above

    return context.problem(settings, TlsFiles.of(settings, copies))


def tls_expiries(settings: ServerSettings, now: float, copies: Sequence[int] = ()) -> list[Expiry]:
    """The certificates that have expired at `now`, in seconds since the epoch, or do within two weeks."""
    if not mentions_tls(settings):
        return []
    from server_core.tls import context  # as above

    return context.ending(settings, now, TlsFiles.of(settings, copies))
