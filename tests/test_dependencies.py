"""Who may import whom, how long a module may be, and what tests may not use: read from the sources.

The rules are contrib/docs/DESIGN.md's; here they are tables, and each rule has a test that it can refuse something.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.imports import DAEMON_FLOORS, ROOT, graph, imports, module_name, place, sources, upward_in_daemon

SOURCES = sources()
PACED = ("apps", "bench", "chaos")
"""Applications under test hang on purpose, and load clients pause between requests; neither are tests."""
TESTS = sorted(
    path
    for path in (ROOT / "tests").rglob("*.py")
    if path.name.startswith("test_") or not set(PACED) & set(path.relative_to(ROOT / "tests").parts[:-1])
)

LENGTH = 300
LENGTH_WITH_A_REASON = 400
"""With a line that begins with "Length:" in the module's docstring."""
FUNCTION_LENGTH = 40

SHARED = (
    "server_core.contract",
    "server_core.settings",
    "server_core.exit_codes",
    "server_core.log",
    "server_core.log_config",
    "server_core.keywords",
    "server_core.records",
    "server_core.listen.accept_queue",
    "server_core.runtime.gc_thresholds",
    "server_core.runtime.process_title",
    "server_core.proxy.trusted_peers",
    "server_core.tls.checks",
    "server_core.tls.files",
)
"""What the daemon may use of the server core; the peers' rule, so that `init` judges who is believed as workers do."""

ASSEMBLY = ("supervisor_d.master", "supervisor_d.daemon")
"""The modules that may know both policy and host."""

KNOWN_TO_POLICY = (
    *("supervisor_d.policy", "supervisor_d.vocabulary", "supervisor_d.errors"),
    *("server_core.exit_codes", "server_core.records"),
)

PURE = (
    *("server_core.http", "server_core.http1.reader", "server_core.http1.chunked", "server_core.http1.request_line"),
    *("server_core.http1.field_names", "server_core.http1.header_parser", "server_core.http1.httptools_parser"),
    *("server_core.http1.h11_parser", "server_core.http1.writer", "server_core.http1.response_head"),
    *("server_core.http1.response_fields", "server_core.asgi.extensions", "server_core.asgi.file_range"),
    *("server_core.asgi.response_states", "server_core.asgi.scope"),
)
"""What parses, formats and judges, and never waits."""

BANNED_IN_TESTS = ("time.sleep", "asyncio.sleep", "unittest.mock", "mock")


def is_in(name: str, *modules: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def refusal(importer: str, imported: str) -> str | None:
    """Why this module must not import that one, or None if it may."""
    if is_in(imported, "supervisor_d.cli") and not is_in(importer, "supervisor_d.__main__", "supervisor_d.cli"):
        return "nobody imports cli"
    if is_in(importer, "server_core"):
        return refusal_in_the_server(importer, imported)
    if is_in(imported, "server_core") and not is_in(imported, *SHARED):
        return f"the daemon uses of the server core only {', '.join(SHARED)}"
    if is_in(importer, "supervisor_d.policy"):
        return refusal_in_policy(imported)
    if is_in(importer, "supervisor_d.host") and is_in(imported, "supervisor_d.policy"):
        return "host never imports policy"
    if is_in(importer, "supervisor_d.control") and is_in(imported, "supervisor_d.policy"):
        return "control sees of the policy only its status, which is vocabulary"
    if is_in(importer, "supervisor_d.vocabulary") and is_in(imported, "supervisor_d"):
        return None if is_in(imported, "supervisor_d.vocabulary") else "vocabulary is below everything"
    return None


def refusal_in_the_server(importer: str, imported: str) -> str | None:
    if is_in(imported, "supervisor_d"):
        return "the server core never imports the daemon"
    if is_in(importer, *PURE) and is_in(imported, "asyncio"):
        return "a wire never waits"
    return None


def refusal_in_policy(imported: str) -> str | None:
    if is_in(imported, *KNOWN_TO_POLICY):
        return None
    if imported.split(".")[0] in sys.stdlib_module_names:
        return None if not is_in(imported, "time", "random", "os", "socket", "logging", "asyncio") else "policy is pure"
    return "policy knows only vocabulary, errors, exit codes and the standard library"


def read(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_imports_only_what_it_may(path: Path) -> None:
    importer = module_name(path)
    wrong = {imported: why for imported in imports(read(path)) if (why := refusal(importer, imported))}
    assert wrong == {}


def test_the_design_names_what_the_daemon_may_use_of_the_server_core() -> None:
    design = (ROOT / "contrib" / "docs" / "DESIGN.md").read_text(encoding="utf-8")
    found = re.search(r"`supervisor_d` imports only\s+`server_core\.\{([a-z_,.\s]+)\}`,\s+and `([a-z_.]+)`", design)
    assert found is not None
    assert {f"server_core.{name}" for name in (*re.split(r",\s*", found[1]), found[2])} == set(SHARED)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_only_the_assembly_knows_both_policy_and_host(path: Path) -> None:
    names = set(imports(read(path)))
    knows_policy = any(is_in(name, "supervisor_d.policy") for name in names)
    knows_host = any(is_in(name, "supervisor_d.host") for name in names)
    assert not (knows_policy and knows_host) or module_name(path) in ASSEMBLY


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("server_core.worker", "supervisor_d.log"),
        ("supervisor_d.host.processes.process_table", "supervisor_d.policy.slot"),
        ("supervisor_d.host.processes.process_table", "server_core.server.server"),
        ("supervisor_d.policy.slot", "supervisor_d.host.processes.process_table"),
        ("supervisor_d.policy.slot", "supervisor_d.control.snapshot"),
        ("supervisor_d.policy.slot", "supervisor_d.clock"),
        ("supervisor_d.policy.slot", "time.monotonic"),
        ("supervisor_d.policy.slot", "structlog"),
        ("supervisor_d.control.snapshot", "supervisor_d.policy.supervisor"),
        ("supervisor_d.vocabulary.facts", "supervisor_d.errors"),
        ("supervisor_d.launch", "supervisor_d.cli.program.main"),
        ("server_core.http1.h11_parser", "asyncio"),
    ],
)
def test_the_rules_refuse_what_they_are_for(importer: str, imported: str) -> None:
    assert refusal(importer, imported) is not None


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("server_core.asgi.http_exchange", "asyncio"),
        ("supervisor_d.control.snapshot", "supervisor_d.vocabulary.status.Status"),
        ("supervisor_d.host.system.announcer", "supervisor_d.control.sd_notify.Phase"),
        ("supervisor_d.master", "supervisor_d.policy.supervisor"),
        ("supervisor_d.policy.slot", "collections.abc.Mapping"),
        ("supervisor_d.policy.slot", "server_core.records.dataclass"),
        ("supervisor_d.__main__", "supervisor_d.cli.program.main"),
    ],
)
def test_the_rules_allow_what_is_needed(importer: str, imported: str) -> None:
    assert refusal(importer, imported) is None


def test_no_import_of_the_daemon_runs_upward() -> None:
    assert upward_in_daemon(graph()) == []


def test_each_module_of_the_daemon_stands_on_a_floor() -> None:
    modules = [name for name in map(module_name, SOURCES) if is_in(name, "supervisor_d")]
    rooms = [f"supervisor_d.{room}" for floor in DAEMON_FLOORS for room in floor]
    above = {name for name in modules if any(is_in(room, name) for room in rooms)}  # a package of rooms, which is empty
    assert [name for name in modules if place(name) is None and name not in above] == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("supervisor_d.vocabulary.values", "supervisor_d.clock"),
        ("supervisor_d.host.reactor", "supervisor_d.host.processes.process_table"),
        ("supervisor_d.host.sockets.listeners", "supervisor_d.host.processes.process_table"),
        ("supervisor_d.daemon", "supervisor_d"),
    ],
)
def test_an_import_that_runs_upward_or_aside_is_found(importer: str, imported: str) -> None:
    assert upward_in_daemon({importer: frozenset({imported})}) == [(importer, imported)]


def test_the_design_draws_the_floors_of_the_daemon() -> None:
    design = (ROOT / "contrib" / "docs" / "DESIGN.md").read_text(encoding="utf-8")
    drawn = "\n".join("    " + " | ".join(room or "supervisor_d" for room in floor) for floor in DAEMON_FLOORS)
    assert drawn in design, f"the floors are:\n{drawn}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_is_short_or_says_why_not(path: Path) -> None:
    tree = read(path)
    reason = any(line.startswith("Length:") for line in (ast.get_docstring(tree) or "").splitlines())
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= (LENGTH_WITH_A_REASON if reason else LENGTH)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_function_is_short(path: Path) -> None:
    assert too_long(read(path)) == {}


def too_long(tree: ast.AST) -> Mapping[str, int]:
    """Functions by name and lines, without their docstrings, which may take the room they need."""
    lengths = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
            lengths[node.name] = (node.end_lineno or 0) - node.lineno + 1 - docstring
    return {name: lines for name, lines in lengths.items() if lines > FUNCTION_LENGTH}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(read(path))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_waits_for_facts_and_fakes_nothing(path: Path) -> None:
    tree = read(path)
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert [name for name in {*imports(tree), *used} if is_in(name, *BANNED_IN_TESTS)] == []


def unsafe_quantifiers(tree: ast.AST) -> Iterator[str]:
    """Each literal that holds a possessive quantifier or an atomic group, wherever it becomes part of a pattern.

    CPython 3.11 to 3.11.4 match them wrongly (gh-106052). Read are all literals but docstrings: patterns are put
    together from parts. Signs in a class or behind a backslash stand for themselves.
    """
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in documentation:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            quantifiers = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", text, flags=re.DOTALL)
            if re.search(r"[*+?}]\+|\(\?>", quantifiers):
                yield f"{node.lineno}: {text!r}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_no_pattern_is_possessive_or_atomic(path: Path) -> None:
    assert list(unsafe_quantifiers(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "source",
    [
        r're.compile(r"(?:\\.|[a])*+")',
        r're.match(rb"[a+]++", x)',
        r'P = r"(?:a)?+"',
        r'P = rf"{A}{{2}}+"',
        r'P = "(?>a)"',
        r'P = part + "*+"',
        r'P = r"[\]]++"',
    ],
)
def test_a_possessive_or_atomic_group_is_found(source: str) -> None:
    assert list(unsafe_quantifiers(ast.parse(source)))


@pytest.mark.parametrize("source", [r're.compile(r"[!*+?+]+\++\*+")', '"""Not a*+ pattern."""', 'P = r"[]*+]+"'])
def test_signs_that_stand_for_themselves_are_no_quantifiers(source: str) -> None:
    assert not list(unsafe_quantifiers(ast.parse(source)))
