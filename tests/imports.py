"""Which module of ours imports which, what runs upward, and where that goes in a circle: python -m tests.imports.

An import counts wherever it stands: in a function, and under TYPE_CHECKING, because who reads a module has to know what
its names are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("server_core", "supervisor_d")

FLOORS: Final = (
    ("__init__", "__main__", "example"),
    ("standalone",),
    ("worker",),
    ("server",),
    ("websocket",),
    ("http1", "listen"),
    ("connection",),
    ("asgi", "proxy", "wsgi"),
    ("tls", "contract"),
    ("settings",),
    ("access_log",),
    ("transport",),
    ("runtime",),
    ("http", "log_config", "keywords"),
    ("log",),
    ("errors", "exit_codes", "records", "journald", "log_lines", "log_throttle", "standard_error"),
    ("uvicorn_logging",),
)
"""The rooms of server_core, and its modules outside of one, from the top. None imports one on a floor above its own;
contrib/docs/DESIGN.md says what each is for."""

Graph = Mapping[str, frozenset[str]]
"""{module: the modules of ours that it imports}"""

DAEMON_FLOORS: Final = (
    ("__main__", ""),
    ("cli.program",),
    ("cli.ctl", "cli.check", "cli.versions", "cli.migrate", "init"),
    ("compat.migrate",),
    ("compat.gunicorn", "compat.uvicorn", "compat.hypercorn", "compat.granian"),
    ("compat.shared", "compat.reference"),
    ("cli.boot_check",),
    ("launch",),
    ("daemon",),
    ("master", "snapshot_source", "boot_failure", "deferred_imports"),
    ("policy", "host.order_executor", "host.control"),
    ("host.worker_spawner", "host.statsd", "host.saves"),
    ("host.generations", "host.observation", "host.deferred_work"),
    ("host.processes", "host.sockets", "host.journal", "host.tls_copies", "host.pid_file"),
    ("host.system", "host.unix_sockets"),
    ("host.reactor",),
    ("control",),
    ("settings",),
    ("faults",),
    ("clock",),
    ("vocabulary", "compat.options"),
    ("log", "errors", "keywords", "_version", "watcher"),
)
"""The rooms of supervisor_d, and its modules outside of one, from the top; "" is the package's own __init__.

What stands on a floor imports what stands below it: nothing above it, and nothing beside it but in its own room.
"""


def sources() -> list[Path]:
    """Every module of both packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    """A package's name is that of its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """Every name that is imported, wherever in the module; `from a import b` gives a.b, relative imports fail."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name is from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph() -> Graph:
    """As the sources are now."""
    paths = {module_name(path): path for path in sources()}
    found = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        known = {_known(imported, paths) for imported in imports(tree)}
        found[name] = frozenset(module for module in known if module not in (None, name))
    return found  # type: ignore[return-value]  # None was left out


def _known(imported: str, paths: Mapping[str, Path]) -> str | None:
    """The module that a name is from; None if it is not ours."""
    while imported not in paths:
        imported, _, name = imported.rpartition(".")
        if not name or not imported:
            return None
    return imported


def circles(known: Graph) -> list[list[str]]:
    """Each set of modules that import one another, sorted, the largest first."""
    found = {frozenset(_within(known, name)) for name in known}
    return sorted((sorted(circle) for circle in found if len(circle) > 1), key=lambda circle: (-len(circle), circle))


def _within(known: Graph, name: str) -> set[str]:
    """The modules that are reached from this one, and reach it."""
    return {other for other in _reached(known, name) if name in _reached(known, other)} | {name}


def _reached(known: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        new = known[ahead.pop()] - seen
        seen |= new
        ahead += new
    return seen


def floor(module: str) -> int:
    """On which floor a module of server_core stands, 0 being the top. Raises StopIteration if it is on none."""
    room = module.partition(".")[2].partition(".")[0] or "__init__"
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def upward(known: Graph) -> list[tuple[str, str]]:
    """Each import in server_core of a module on a floor above that of the importer."""
    ours = sorted(name for name in known if name.partition(".")[0] == "server_core")
    return [(name, other) for name in ours for other in sorted(known[name] & set(ours)) if floor(other) < floor(name)]


def place(module: str) -> tuple[int, str] | None:
    """The floor of a module, 0 for the highest, and its room there; None if the table knows no place for it."""
    package, _, rest = module.partition(".")
    for number, rooms in enumerate(DAEMON_FLOORS if package == "supervisor_d" else ()):
        for room in rooms:
            if rest == room or (room and rest.startswith(f"{room}.")):
                return number, room
    return None


def upward_in_daemon(known: Graph) -> list[tuple[str, str]]:
    """Each import in supervisor_d that leads to a higher floor, or to a room beside."""
    found = []
    for importer, imported in sorted((a, b) for a, group in known.items() for b in group):
        here, there = place(importer), place(imported)
        same_package = importer.split(".")[0] == imported.split(".")[0]
        if same_package and here and there and here != there and here[0] >= there[0]:
            found.append((importer, imported))
    return found


def main() -> None:
    known = graph()
    print(f"{len(known)} modules, {sum(map(len, known.values()))} imports of one another")
    for package in PACKAGES:
        ours = {name for name in known if name.partition(".")[0] == package}
        print(f"  {package}: {len(ours)} modules, {sum(len(known[name] & ours) for name in ours)} imports")
    print(f"{len(upward(known))} imports run upward in server_core")
    for name, other in upward(known):
        print(f"  {name} imports {other}")
    print(f"{len(upward_in_daemon(known))} imports run upward, or to a room beside, in supervisor_d")
    for name, other in upward_in_daemon(known):
        print(f"  {name} imports {other}")
    for circle in circles(known):
        print(f"a circle of {len(circle)}:")
        for name in circle:
            print(f"  {name} imports {', '.join(sorted(known[name] & set(circle)))}")


if __name__ == "__main__":
    main()
