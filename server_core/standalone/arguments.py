"""Settings by name, as flags or as Python arguments, into ServerSettings; every value goes through its own parser."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from server_core.errors import UsageError
from server_core.settings.declaration import ServerSettings
from server_core.settings.option import Option, declared
from server_core.tls.checks import tls_problem

OPTIONS: Final[Mapping[str, Option]] = declared(ServerSettings)


def settings_from(values: Mapping[str, object]) -> ServerSettings:
    """The settings with these values in place of the defaults; None stands for the default.

    Texts are parsed as on a command line ("75s"), other values must have the setting's type; a repeatable setting takes
    one or a sequence. UsageError tells the name, the value and what would be accepted.
    """
    given = {name: value for name, value in values.items() if value is not None and value != ()}
    for name in given:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            raise UsageError(f"{name}: is no setting" + (f"; did you mean {near[0]}?" if near else ""))
    typed = {name: _typed(name, value) for name, value in given.items()}
    settings = ServerSettings(**typed)  # type: ignore[arg-type]  # each was typed by its own row
    if (problem := tls_problem(settings)) is not None:
        raise UsageError(f"{problem[0]}: {problem[1]}")
    return settings


def _typed(name: str, value: object) -> object:
    row = OPTIONS[name]
    if row.repeatable:
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_parsed(name, item) for item in items)
    return _parsed(name, value)


def _parsed(name: str, value: object) -> object:
    row = OPTIONS[name]
    if isinstance(value, str):
        try:
            value = row.read(value)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from (None if row.secret else error)
    else:
        _refuse_foreign(name, value)
    wrong = row.refused(value)
    if wrong is not None:
        raise UsageError(f"{name}: {wrong}")
    return value


def _refuse_foreign(name: str, value: object) -> None:
    """Refuse a Python value of another type than the default's; a whole number does where a fraction may stand."""
    default = "" if OPTIONS[name].repeatable else getattr(DEFAULTS, name)
    fits = (type(default),) if not isinstance(default, float) else (float, int)
    if OPTIONS[name].secret and not isinstance(value, fits):
        raise UsageError(f"{name}: {OPTIONS[name].refusal}")
    if not isinstance(value, fits) or (isinstance(value, bool) and not isinstance(default, bool)):
        raise UsageError(f"{name}: must be {OPTIONS[name].kind.accepts}, not {value!r}")


DEFAULTS: Final = ServerSettings()
