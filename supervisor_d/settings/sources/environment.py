"""Environment variables -> values by setting name: ours by their prefix, and the usual ones of others. Pure.

A variable that is set but empty counts as not set: `WEB_CONCURRENCY=${UNSET}` in a compose file or a unit means
"nothing", and it never means zero workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from server_core.contract.spec import INDEX_VARIABLE, SLOT_VARIABLE
from supervisor_d.settings.sources.foreign_flags import suggestion
from supervisor_d.settings.sources.links import links
from supervisor_d.settings.sources.provenance import Given, Origin, Source
from supervisor_d.settings.table import PREFIX, ROWS, Row

SLOT_VARIABLES: Final = (SLOT_VARIABLE, INDEX_VARIABLE, "SUPERVISOR_D_GENERATION")
"""What workers tell their applications, and one that starts a supervisor-d of its own passes on."""

NO_SETTINGS: Final = frozenset((*SLOT_VARIABLES, "SUPERVISOR_D_COMPILE"))
"""Besides these what the installation reads (contrib/backend/compiling.py), and an image that was built with it has."""

REWRITTEN: Final[Mapping[str, Callable[[str], str]]] = {"PORT": "0.0.0.0:{}".format}
"""Aliases that mean a part of a value: platforms give a port and expect the container's every interface."""


def read_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Given]:
    """What the environment gives, by setting name; unknown names of ours are added to `problems`.

    Links, which Kubernetes and Docker make, are neither.
    """
    linked = links(environ)
    environ = {name: text for name, text in environ.items() if name not in linked}
    given: dict[str, Given] = {}
    for row in ROWS.values():
        for variable in (row.variable, *row.option.environment):
            if environ.get(variable):
                given[row.name] = Given(
                    value_of(row, variable, environ[variable]), Source(Origin.ENVIRONMENT, variable)
                )
                break
    known = NO_SETTINGS.union(row.variable for row in ROWS.values())
    problems += [
        unknown(variable) for variable in sorted(environ) if variable.startswith(PREFIX) and variable not in known
    ]
    return given


def unknown(variable: str) -> str:
    """The problem with a variable that has our prefix and is no setting; compared without the prefix all share."""
    name = variable.removeprefix(PREFIX).lower().replace("_", "-")
    return f"{variable}: unknown{suggestion(name, [row.long for row in ROWS.values()])} (env {variable})"


def value_of(row: Row, variable: str, text: str) -> str | list[str]:
    """The value in one variable; a repeatable one holds several, with its kind's separator between them."""
    rewritten = REWRITTEN[variable](text) if variable in REWRITTEN else text
    if not row.option.repeatable:
        return rewritten
    return [part.strip() for part in rewritten.split(row.option.kind.separator) if part.strip()]


def relevant(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are read here, as a copy: a reload sees the environment as it was at start."""
    aliases = {variable for row in ROWS.values() for variable in row.option.environment}
    return {name: text for name, text in environ.items() if name.startswith(PREFIX) or name in aliases}
