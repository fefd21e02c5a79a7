"""Where a worker looks for modules: part of the contract between a master and its workers (spec.py, "Spawning").

A worker is begun with its server's order, which finds server_core and what that imports (BEGIN). The application's
order takes its place just before the application is imported.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from server_core.records import dataclass

VARIABLE: Final = "SUPERVISOR_D_OWN_PATH"
"""In the environment of a process that is begun by BEGIN, which takes it away: the first two things that it needs, as
JSON. Not in the spec: to read that takes modules that cannot be found yet. Not an argument: ps(1) shows these."""

BEGIN: Final = f"""\
import json, os, runpy, sys
own, left_out = json.loads(os.environ.pop({VARIABLE!r}))
sys.path[:] = [*own, *(each for each in sys.path if each not in own and each not in left_out)]
runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"""
"""What `-c` is given; the next argument is the module that is to be run as __main__."""


@dataclass(frozen=True, slots=True)
class Search:
    """Where one generation's workers look for modules; every entry is absolute."""

    path: tuple[str, ...] = ()
    """The application's; nothing: what the process has."""
    own: tuple[str, ...] = ()
    """The server's: the same in another order."""
    left_out: tuple[str, ...] = ()
    """What a fresh interpreter has by itself, and the master's program took out of its path."""

    def as_variable(self) -> dict[str, str]:
        """What BEGIN finds in the environment."""
        return {VARIABLE: json.dumps([self.own, self.left_out])}

    @property
    def of_application(self) -> list[str]:
        """The application's order, and behind it what this process has besides."""
        return [*self.path, *(each for each in sys.path if each not in self.path)]

    def enter(self) -> None:
        """Look for modules in the application's order from now on."""
        sys.path[:] = self.of_application

    @staticmethod
    def from_field(value: object) -> Search:
        """The value again from a message's field. Raises TypeError if it is none."""
        if not isinstance(value, dict):
            raise TypeError(f"search: must be an object, not {value!r:.80}")
        return Search(**{name: tuple(entries) for name, entries in value.items()})
