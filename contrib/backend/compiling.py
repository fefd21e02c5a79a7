"""The build backend: setuptools, which compiles the way of a request where there is a C compiler.

A wheel holds the same modules either way. Where they are compiled, by Cython, each that has a .pxd has its machine code
beside its source, and Python takes that; nothing else is needed at run time. SUPERVISOR_D_COMPILE says:

    auto    compile if a C compiler and Python's headers are there (the default); if that fails, do without
    1       compile, or fail
    0       do not compile

Editable installs are never compiled: what is edited would not be what runs. `python contrib/backend/compiling.py` puts
the machine code into this tree, and with --clean takes it away again: so are the tests run in both ways.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

from setuptools import Distribution, Extension, build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks of PEP 517 that are not changed here
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

ROOT: Final = Path(__file__).resolve().parents[2]
CYTHON: Final = "cython>=3.1"
VARIABLE: Final = "SUPERVISOR_D_COMPILE"

INLINE: Final = {Path("server_core/system_calls.pxd")}
"""Holds code, which is compiled where it is called; its module is for those that are not compiled."""


def setting() -> str:
    """What the environment says; SystemExit if it is nothing that it may say."""
    said = os.environ.get(VARIABLE, "auto")
    if said not in ("auto", "0", "1"):
        raise SystemExit(f"{VARIABLE}: must be auto, 1 or 0, not {said!r}")
    return said


def lacks() -> str:
    """What a compilation would need that is not here; nothing if all is."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if not compiler or shutil.which(compiler[0]) is None:
        return f"no C compiler ({' '.join(compiler) or 'CC is empty'})"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "no Python.h"
    return ""


def is_wanted() -> bool:
    """Whether to compile; SystemExit if it must be, and cannot."""
    said, missing = setting(), lacks()
    if said == "1" and missing:
        raise SystemExit(f"{VARIABLE}: 1, but there is {missing}; auto or 0 would be accepted")
    return said != "0" and not missing


def extensions() -> list[Extension]:
    """What is compiled: each module that has a .pxd, which says what its attributes are in C. Called in the root."""
    from Cython.Build import cythonize

    declared = sorted(set(Path("server_core").rglob("*.pxd")) - INLINE)
    sources = [path.with_suffix(".py") for path in declared]
    found = [
        Extension(
            ".".join(source.with_suffix("").parts),
            [str(source)],
            optional=setting() != "1",
            extra_compile_args=[
                "-O2",
                "-g0",
            ],  # a tenth of the size without debugging information, and half of the time
        )
        for source in sources
    ]
    # Annotations are for mypy: C would take them to the letter, and let no subclass of a dict pass for a dict.
    directives = {"language_level": 3, "annotation_typing": False}
    return list(cythonize(found, compiler_directives=directives, build_dir="build/c", quiet=True))


class Compile(build_ext):
    """build_ext on all CPUs."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()


class Wheel(bdist_wheel):
    """bdist_wheel, which knows before it chooses a name whether there is machine code in it."""

    compiles = False

    def initialize_options(self) -> None:
        super().initialize_options()
        if self.compiles:
            self.distribution.ext_modules = extensions()


class SourceArchive(sdist):
    """sdist, with what a build from it needs besides the modules."""

    def make_distribution(self) -> None:
        self.filelist.append(str(Path(__file__).resolve().relative_to(ROOT)))
        self.filelist.extend(map(str, Path("server_core").rglob("*.pxd")))
        super().make_distribution()


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    """PEP 517: with Cython, if there is something for it to do."""
    needed = list(build_meta.get_requires_for_build_wheel(config_settings))
    return [*needed, CYTHON] if is_wanted() else needed


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    """PEP 517."""
    Wheel.compiles = is_wanted()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def clean() -> None:
    """Take the machine code out of this tree."""
    for path in (ROOT / "server_core").rglob("*.so"):
        path.unlink()


def compile_in_place() -> None:
    """Put the machine code into this tree, or fail."""
    os.environ[VARIABLE] = "1"
    os.chdir(ROOT)
    if is_wanted():
        command = Compile(Distribution({"name": "supervisor-d", "ext_modules": extensions()}))
        command.inplace = True
        command.ensure_finalized()
        command.run()


if __name__ == "__main__":
    clean() if sys.argv[1:] == ["--clean"] else compile_in_place()
