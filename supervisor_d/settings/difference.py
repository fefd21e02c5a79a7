"""What a re-read configuration changes, and whether a reload or only a restart can apply it. Pure."""

from __future__ import annotations

from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.table import ROWS
from supervisor_d.vocabulary import Change


def difference(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Every setting whose value differs, by its long name, old and new as text."""
    return tuple(
        Change(
            name=row.long,
            old=row.render(row.of(old)),
            new=row.render(row.of(new)),
            applies="reload" if row.option.reloads else "restart",
        )
        for row in ROWS.values()
        if row.of(old) != row.of(new)
    )
