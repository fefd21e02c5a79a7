"""The default name of a daemon: after its application's module, fit for a file name. Pure."""

from __future__ import annotations

import re

UNNAMED = "supervisor-d"


def name_of(app: str) -> str:
    """`shop.main` for `shop.main:app`; characters that a name cannot have become hyphens."""
    module = app.partition(":")[0]
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", module)[:64].lstrip(".-")
    return safe or UNNAMED
