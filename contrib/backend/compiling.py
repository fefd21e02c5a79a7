"""The build backend: setuptools, which compiles the way of a request where there is a C compiler.

A wheel holds the same modules either way. Where they are compiled, by Cython, each that has a .pxd has its machine code
beside its source, and Python takes that; nothing else is needed at run time. SUPERVISOR_D_COMPILE says:

    auto    compile if a C compiler and Python's headers are there and work (the default); if that fails, do without
    1       compile, or fail
    0       do not compile

Editable installs are never compiled: what is edited would not be what runs. `python contrib/backend/compiling.py` puts
the machine code into this tree, and with --clean takes it away again: so are the tests run in both ways.

Every build begins from nothing, in a directory of its own: setuptools would take what an earlier version of this tree
left in build/, a module that was deleted since, or machine code that is older than its source. Modules are compiled all
or none: half of them would not fit together.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

from setuptools import Distribution, Extension, build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks of PEP 517 that are not changed here
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.egg_info import egg_info
from setuptools.command.sdist import sdist

ROOT: Final = Path(__file__).resolve().parents[2]
CYTHON: Final = "cython>=3.1"
VARIABLE: Final = "SUPERVISOR_D_COMPILE"

INLINE: Final = {Path("server_core/transport/syscalls.pxd")}
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
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").is_file():
        return "no Python.h"
    with tempfile.TemporaryDirectory() as place:
        source = Path(place, "probe.c")
        source.write_text("#include <Python.h>\nint probe(void) { return PY_MAJOR_VERSION; }\n")
        made = source.with_suffix(".o")
        command = [*compiler, f"-I{include}", "-fPIC", "-c", str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0 or not made.is_file():
            said = next((line.strip() for line in done.stderr.splitlines() if "error" in line), "it made nothing")
            return f"no C compiler that works ({' '.join(compiler)}: {said})"
    return ""


def is_wanted() -> bool:
    """Whether to compile; SystemExit if it must be, and cannot."""
    said, missing = setting(), lacks()
    if said == "1" and missing:
        raise SystemExit(f"{VARIABLE}: 1, but there is {missing}; auto or 0 would be accepted")
    return said != "0" and not missing


def extensions(place: str) -> list[Extension]:
    """What is compiled: each module that has a .pxd, which says what its attributes are in C. Called in the root.

    The C code is written below `place`.
    """
    from Cython.Build import cythonize

    declared = sorted(set(Path("server_core").rglob("*.pxd")) - INLINE)
    sources = [path.with_suffix(".py") for path in declared]
    found = [
        Extension(
            ".".join(source.with_suffix("").parts),
            [str(source)],
            extra_compile_args=[
                "-O2",
                "-g0",
            ],  # a tenth of the size without debugging information, and half of the time
        )
        for source in sources
    ]
    # Annotations are for mypy: C would take them to the letter, and let no subclass of a dict pass for a dict.
    directives = {"language_level": 3, "annotation_typing": False}
    return list(cythonize(found, compiler_directives=directives, build_dir=place, force=True, quiet=True))


class Compile(build_ext):
    """build_ext on all CPUs."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def get_source_files(self) -> list[str]:
        """For the manifest, which takes no absolute paths: without the C code, which lasts as long as the build."""
        return [name for name in super().get_source_files() if not Path(name).is_absolute()]


class Wheel(bdist_wheel):
    """bdist_wheel, which knows before it chooses a name whether there is machine code in it."""

    compiles = False
    scratch: str | None = None
    """Where everything is built while a wheel is."""

    def initialize_options(self) -> None:
        super().initialize_options()
        if self.compiles:
            self.distribution.ext_modules = extensions(tempfile.mkdtemp(dir=self.scratch))


class Build(build):
    """build, in a directory that nothing was ever built in."""

    def initialize_options(self) -> None:
        super().initialize_options()
        if Wheel.scratch is not None:
            self.build_base = tempfile.mkdtemp(dir=Wheel.scratch)


class Metadata(egg_info):
    """egg_info: the description's links lead somewhere on a package index, too."""

    def run(self) -> None:
        metadata = self.distribution.metadata
        base = metadata.project_urls.get("Source")
        if base and metadata.long_description:
            metadata.long_description = absolute(metadata.long_description, base)
        super().run()


def absolute(text: str, base: str) -> str:
    """A page with each link into this tree made one below the address of the project's sources."""
    outside = ("https:", "http:", "mailto:", "#")

    def link(found: re.Match[str]) -> str:
        image, text, target = found.groups()
        if target.startswith(outside):
            return found[0]
        return f"{image}[{text}]({base}/{'raw' if image else 'blob'}/HEAD/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


class SourceArchive(sdist):
    """sdist: what a build from it needs besides the modules, and what people read; of the tests nothing."""

    def make_distribution(self) -> None:
        self.filelist.files = [name for name in self.filelist.files if Path(name).parts[0] != "tests"]
        self.filelist.append(str(Path(__file__).resolve().relative_to(ROOT)))
        self.filelist.extend(map(str, Path("server_core").rglob("*.pxd")))
        self.filelist.append("CHANGELOG.md")
        for folder in ("contrib/docs", "contrib/examples"):
            found = (path for path in Path(folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            self.filelist.extend(map(str, sorted(found)))
        super().make_distribution()


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    """PEP 517: with Cython, if there is something for it to do."""
    needed = list(build_meta.get_requires_for_build_wheel(config_settings))
    return [*needed, CYTHON] if is_wanted() else needed


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    """PEP 517."""
    Wheel.compiles = is_wanted()
    try:
        return _built(wheel_directory, config_settings, metadata_directory)
    except (Exception, SystemExit) as error:  # setuptools turns a compiler's failure into the latter
        if not Wheel.compiles or setting() == "1":
            raise
        print(f"supervisor-d: not compiled, {error}; the wheel holds plain Python", file=sys.stderr)
        Wheel.compiles = False
        return _built(wheel_directory, config_settings, metadata_directory)


def _built(wheel_directory: str, config_settings: object, metadata_directory: str | None) -> str:
    with tempfile.TemporaryDirectory() as place:
        Wheel.scratch = place
        try:
            return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
        finally:
            Wheel.scratch = None


def clean() -> None:
    """Take the machine code out of this tree."""
    for path in (ROOT / "server_core").rglob("*.so"):
        path.unlink()


def compile_in_place() -> None:
    """Put the machine code into this tree, or fail."""
    os.environ[VARIABLE] = "1"
    os.chdir(ROOT)
    if is_wanted():
        with tempfile.TemporaryDirectory() as place:
            command = Compile(Distribution({"name": "supervisor-d", "ext_modules": extensions(place)}))
            command.inplace = True
            command.build_temp = place
            command.ensure_finalized()
            command.run()


if __name__ == "__main__":
    clean() if sys.argv[1:] == ["--clean"] else compile_in_place()
