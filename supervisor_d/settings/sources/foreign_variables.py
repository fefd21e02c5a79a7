"""Variables in which other servers are given options: `run` reads none of them, and says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OF_SERVERS: Final = ("GUNICORN_CMD_ARGS", "UVICORN_")
"""A variable, or what several begin with. uvicorn's are read by `supervisor-d uvicorn`."""


def unread_variables(environ: Mapping[str, str]) -> str | None:
    """One line that names the variables and the commands that read them; None if there are none.

    A variable of uvicorn's is one that names an option of its: a program or a Service of that name has others.
    """
    found = []
    for name, text in sorted(environ.items()):
        for start in OF_SERVERS:
            is_option = start == name or (start[-1] == "_" and name.startswith(start) and _is_option(name, start))
            if text and is_option and "://" not in text:
                found.append(name)
    if not found:
        return None
    of_uvicorn = ", but by `supervisor-d uvicorn`" if all(name.startswith("UVICORN_") for name in found) else ""
    return f"{', '.join(found)}: not read by `run`{of_uvicorn}; `run` has SUPERVISOR_D_ variables (env)"


def _is_option(variable: str, prefix: str) -> bool:
    from supervisor_d.compat.options.uvicorn import OPTIONS  # here: hardly any environment has one

    return variable.removeprefix(prefix).lower() in OPTIONS
