"""Both halves of the declaration as one table, by name: what every source, page and check walks. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from server_core.records import dataclass
from server_core.settings.declaration import ServerSettings
from server_core.settings.option import Option, declared
from supervisor_d.settings.declaration import DaemonSettings, Settings

PREFIX: Final = "SUPERVISOR_D_"

SECTIONS: Final[Mapping[str, str]] = {
    "application": "Application",
    "listeners": "Listeners",
    "workers": "Workers",
    "timeouts": "Timeouts",
    "reload": "Reload",
    "recycling": "Recycling",
    "server": "Server",
    "limits": "Limits",
    "websocket": "WebSocket",
    "tls": "TLS",
    "proxies": "Proxies",
    "logs": "Logs",
    "control": "Control",
}
"""Sections by their titles, in the order in which help and pages show them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: `name` as the field has it; its other names follow from that."""

    name: str
    option: Option
    default: object
    half: type[DaemonSettings] | type[ServerSettings]

    @property
    def long(self) -> str:
        """The name in TOML, in messages and, after two hyphens, on the command line."""
        return self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def of(self, settings: Settings) -> object:
        """This setting's value."""
        value: object = getattr(settings.daemon if self.half is DaemonSettings else settings.server, self.name)
        return value

    def render(self, value: object) -> str:
        """A value as its text, which the setting's parser would read again; a secret is hidden."""
        if self.option.repeatable and isinstance(value, tuple):
            return ", ".join(self.option.render(item) for item in value)
        return self.option.render(value)


def rows_of(half: type[DaemonSettings] | type[ServerSettings]) -> list[Row]:
    defaults = {field.name: field.default for field in dataclasses.fields(half)}
    return [Row(name, option, defaults[name], half) for name, option in declared(half).items()]


def in_sections(rows: list[Row]) -> list[Row]:
    """The rows section by section, each in the order of declaration; KeyError for an undeclared section."""
    order = list(SECTIONS)
    return sorted(rows, key=lambda row: order.index(row.option.section))


ROWS: Final[Mapping[str, Row]] = {
    row.name: row for row in in_sections([*rows_of(ServerSettings), *rows_of(DaemonSettings)])
}

SECRET_VARIABLES: Final = frozenset(
    variable for row in ROWS.values() if row.option.secret for variable in (row.variable, *row.option.environment)
)
"""What no worker inherits: its settings come by its pipe, and what it starts has no use for them."""
