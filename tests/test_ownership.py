"""An attribute is set by the folder whose class declares it, and a connection knows nothing of what is built of it.

Read from the sources: `connection.mode = SHUT` is a change of an object that another class owns, and the reader of that
class cannot know it. Within one folder that is allowed, since its modules are read together.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.imports import ROOT, imports, module_name, sources

SERVER_CORE = [path for path in sources() if module_name(path).startswith("server_core.")]

CALLS = "a call of the application is begun, fed and ended by its connection, once for each request: a method is a call"
COUNTS = "counted by each request: a method is a call"
REQUEST = "a request's head is filled in by those who read it, each what it reads"
OF_A_LIBRARY = "an attribute of ssl.SSLContext, which has the name of one of ours"
STILL_ALLOWED: Mapping[tuple[str, str], str] = {
    **{("server_core.http1.connection", name): CALLS for name in ("body", "received", "task")},
    **{("server_core.http1.connection", name): COUNTS for name in ("latency_sum_s", "requests_total")},
    **{("server_core.http1.reader", name): REQUEST for name in ("line", "rules")},
    **{("server_core.proxy.request_id", name): REQUEST for name in ("forwarded", "request_id")},
    ("server_core.proxy.forwarding", "head"): REQUEST,
    ("server_core.websocket.upgrade", "head"): REQUEST,
    ("server_core.http1.wsgi_connection", "task"): CALLS,
    ("server_core.wsgi.threads", "name"): "an attribute of threading.Thread, which has the name of one of ours",
    ("server_core.tls.context", "options"): OF_A_LIBRARY,
    ("server_core.worker.bootstrap", "interrupts"): "signals stop an import, for as long as it takes",
}
"""Who sets what of another folder's classes, and why it may. The list only shrinks."""

OF_CONNECTIONS = ("server_core.http1", "server_core.websocket", "server_core.connection")
ABOVE_CONNECTIONS = ("server_core.server", "server_core.listen", "server_core.worker", "server_core.standalone")


def folder(module: str) -> str:
    return module.rpartition(".")[0]


def declared(tree: ast.AST) -> Iterator[str]:
    """Attributes of the module's classes: annotated or assigned in the class, named as slots, or set on self."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                    yield inner.target.id
                elif isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]) == "__slots__":
                    yield from (str(part.value) for part in ast.walk(inner) if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Attribute) and is_set_on(node, "self"):
            yield node.attr


def is_set_on(node: ast.Attribute, receiver: str) -> bool:
    return isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == receiver


def set_elsewhere(trees: Mapping[str, ast.AST]) -> Iterator[tuple[str, str]]:
    """Each module with an attribute that it sets, and that only classes of other folders declare."""
    owners: dict[str, set[str]] = {}
    for module, tree in trees.items():
        for name in declared(tree):
            owners.setdefault(name, set()).add(folder(module))
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and not is_set_on(node, "self"):
                here = folder(module)
                if here not in owners.get(node.attr, {here}):
                    yield module, node.attr


def test_no_attribute_is_set_from_another_folder() -> None:
    trees = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in SERVER_CORE}
    assert set(set_elsewhere(trees)) == STILL_ALLOWED.keys()


def test_an_attribute_that_is_set_from_another_folder_is_found() -> None:
    trees = {
        "core.a.one": ast.parse("class One:\n    __slots__ = ('slot',)\n    noted: int\n    def f(self): self.own = 1"),
        "core.a.two": ast.parse("def f(one): one.own = one.slot = one.noted = 2"),
        "core.b.three": ast.parse("def f(one): one.own = one.slot = one.noted = 3; one.other = 3"),
    }
    assert set(set_elsewhere(trees)) == {("core.b.three", name) for name in ("own", "slot", "noted")}


@pytest.mark.parametrize("path", SERVER_CORE, ids=module_name)
def test_what_connections_are_made_of_imports_nothing_of_what_is_made_of_them(path: Path) -> None:
    if module_name(path).startswith(OF_CONNECTIONS):
        names = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
        assert {name for name in names if name.startswith(tuple(f"{room}." for room in ABOVE_CONNECTIONS))} == set()


def test_the_rooms_of_connections_are_there() -> None:
    assert all((ROOT / name.replace(".", "/")).is_dir() for name in (*OF_CONNECTIONS, *ABOVE_CONNECTIONS))
