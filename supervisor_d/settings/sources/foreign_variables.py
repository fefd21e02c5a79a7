"""Variables in which other servers are given options: `run` reads none of them, and says so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMMANDS: Final[Mapping[str, str]] = {"GUNICORN_CMD_ARGS": "gunicorn", "UVICORN_": "uvicorn"}
"""A variable, or what several begin with, and whose they are."""


def unread_variables(environ: Mapping[str, str]) -> str | None:
    """One line that names the variables and the commands that read them; None if there are none.

    A variable of uvicorn's is one that names an option of its: a program or a Service of that name has others.
    """
    found: dict[str, str] = {}
    for name, text in sorted(environ.items()):
        for start, command in COMMANDS.items():
            is_option = start == name or (start[-1] == "_" and name.startswith(start) and _is_option(name, start))
            if text and is_option and "://" not in text:
                found[name] = f"`supervisor-d {command}`"
    if not found:
        return None
    commands = " and ".join(dict.fromkeys(found.values()))
    return f"{', '.join(found)}: not read by `run`, but by {commands}; `run` has SUPERVISOR_D_ variables (env)"


def _is_option(variable: str, prefix: str) -> bool:
    from supervisor_d.compat.options.uvicorn import OPTIONS  # here: hardly any environment has one

    return variable.removeprefix(prefix).lower() in OPTIONS
