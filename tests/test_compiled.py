"""What is compiled is declared in full, is what runs, and is installed either way."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from tests.__main__ import BACKEND, backend

ROOT = Path(__file__).parents[1]
DECLARATIONS = sorted(set((ROOT / "server_core").rglob("*.pxd")) - {ROOT / path for path in backend().INLINE})
FIELD = re.compile(r"^    cdef (?:(?:public|readonly) )?[\w ]+? (\w+)$", re.MULTILINE)
CLASS = re.compile(r"^cdef class (\w+)[^:]*:\n((?:    .*\n|\n)*)", re.MULTILINE)


def fields_in_c(declaration: Path) -> dict[str, set[str]]:
    """The attributes of each class that a .pxd declares."""
    return {name: set(FIELD.findall(body)) for name, body in CLASS.findall(declaration.read_text() + "\n")}


def slots(source: Path) -> dict[str, set[str]]:
    """The attributes of each class that a module gives slots."""
    found = {}
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__slots__":
                    found[node.name] = set(eval(ast.unparse(statement.value), {}))  # a tuple of texts
    return found


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda path: path.stem)
def test_a_class_has_the_same_attributes_in_python_and_in_c(declaration: Path) -> None:
    declared = fields_in_c(declaration)
    in_python = slots(declaration.with_suffix(".py"))
    assert declared == {name: in_python[name] for name in declared}


def test_all_that_is_declared_is_of_one_form() -> None:
    """Half of it compiled is what an interrupted build would leave; the halves would not fit together."""
    forms = set()
    for other in DECLARATIONS:
        name = ".".join(other.relative_to(ROOT).with_suffix("").parts)
        forms.add(Path(inspect.getfile(import_module(name))).suffix)
    assert len(forms) == 1


@pytest.mark.parametrize("said", ["yes", "", "2"])
def test_a_setting_that_is_none_is_refused_by_name(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_D_COMPILE", said)
    with pytest.raises(SystemExit, match=f"SUPERVISOR_D_COMPILE: must be auto, 1 or 0, not '{said}'"):
        backend().is_wanted()


def test_without_a_compiler_it_is_done_without_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    monkeypatch.setenv("SUPERVISOR_D_COMPILE", "auto")
    assert not backend().is_wanted()
    monkeypatch.setenv("SUPERVISOR_D_COMPILE", "1")
    with pytest.raises(SystemExit, match="there is no C compiler"):
        backend().is_wanted()


def test_version_says_which_form_runs() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "supervisor_d", "--version"], capture_output=True, text=True, check=True
    )
    form = (
        "plain Python" if inspect.getfile(import_module("server_core.http1.connection")).endswith(".py") else "compiled"
    )
    assert f", {form} (" in told.stdout


@pytest.mark.skipif(
    not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="Python's headers are not here, and are missed first",
)
def test_a_compiler_that_cannot_compile_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("SUPERVISOR_D_COMPILE", "auto")
    assert not backend().is_wanted()
    assert backend().lacks() == "no C compiler that works (false: it made nothing)"


BUILDS = """
import compiling, sys
from pathlib import Path
if sys.argv[1] == "compiles":
    others = set(Path("server_core").rglob("*.pxd")) - {Path("server_core/connection/write_progress.pxd")}
    compiling.INLINE = others  # one module of them all: the others take half a minute
    compiling.build_wheel("out")
    raise SystemExit
if sys.argv[1] == "fails":
    compiling.is_wanted = lambda: True
    compiling.extensions = lambda place: [compiling.Extension(f"server_core.{name}", [f"{name}.c"]) for name in "ab"]
compiling.build_wheel("out")
compiling.build_sdist("out")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone in which an earlier version was built."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("server_core", "supervisor_d", "contrib/backend", "contrib/docs", "contrib/examples"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in (
        "build/lib",
        f"build/lib.linux-x86_64-cpython-{sys.version_info.major}{sys.version_info.minor}",
        "tests",
    ):
        (tmp_path / name / "server_core").mkdir(parents=True)
        (tmp_path / name / "server_core" / "deleted.py").write_text("")
    (tmp_path / "tests" / "test_stray.py").write_text("")
    (tmp_path / "a.c").write_text("int fine;")
    (tmp_path / "b.c").write_text("this is no C")
    return tmp_path


@pytest.mark.skipif(backend().lacks() != "", reason="needs a C compiler and Python's headers")
def test_a_build_with_a_compiler_holds_machine_code(tree: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(tree / "contrib" / "backend"), "SUPERVISOR_D_COMPILE": "auto"}
    command = [sys.executable, "-c", BUILDS, "compiles"]
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "not compiled" not in done.stderr
    (wheel,) = (tree / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        compiled = [name for name in packed.namelist() if name.endswith(".so")]
    assert [name.partition(".")[0] for name in compiled] == ["server_core/connection/write_progress"]
    assert "-none-any" not in wheel.name


@pytest.mark.parametrize("compiler", ["false", "fails"])
def test_a_build_is_whole_and_holds_nothing_of_an_earlier_one(compiler: str, tree: Path) -> None:
    """With a compiler that cannot compile at all, and with one that fails at one of the modules."""
    environ = {**os.environ, "PYTHONPATH": str(tree / "contrib" / "backend"), "SUPERVISOR_D_COMPILE": "auto"}
    environ |= {"CC": "false"} if compiler == "false" else {}
    command = [sys.executable, "-c", BUILDS, compiler]
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = (tree / "out").glob("*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as packed:
        modules = {name for name in packed.namelist() if not name.startswith("supervisor_d-")}
        (told,) = (packed.read(name).decode() for name in packed.namelist() if name.endswith("/METADATA"))
    sources = {
        path.relative_to(ROOT) for package in ("server_core", "supervisor_d") for path in (ROOT / package).rglob("*.py")
    }
    assert modules == {*map(str, sources), "server_core/py.typed", "supervisor_d/py.typed"}
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", told) == [], "links that lead nowhere outside of this tree"
    assert "Project-URL: Changelog, https://" in told
    (archive,) = (tree / "out").glob("*.tar.gz")
    with tarfile.open(archive) as packed_sources:
        inside = {name.partition("/")[2] for name in packed_sources.getnames()}
    needed = {str(BACKEND.relative_to(ROOT)), *(str(path.relative_to(ROOT)) for path in DECLARATIONS)}
    read = {"CHANGELOG.md", "README.md", "LICENSE", "contrib/docs/DESIGN.md", "contrib/examples/hello.py"}
    assert needed | read <= inside
    assert not any(name.startswith(("tests", "build")) for name in inside)


def test_the_backend_is_where_the_project_says() -> None:
    assert 'backend-path = ["contrib/backend"]' in (ROOT / "pyproject.toml").read_text()
    assert BACKEND.is_file()
