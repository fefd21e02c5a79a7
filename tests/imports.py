"""Which module of ours imports which, and where that goes in a circle: python -m tests.imports.

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

Graph = Mapping[str, frozenset[str]]
"""{module: the modules of ours that it imports}"""


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


def main() -> None:
    known = graph()
    print(f"{len(known)} modules, {sum(map(len, known.values()))} imports of one another")
    for circle in circles(known):
        print(f"a circle of {len(circle)}:")
        for name in circle:
            print(f"  {name} imports {', '.join(sorted(known[name] & set(circle)))}")


if __name__ == "__main__":
    main()
