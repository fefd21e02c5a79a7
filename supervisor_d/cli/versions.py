"""The versions of us and of what our speed and behaviour depend on, in one line."""

from __future__ import annotations

import platform
from importlib.machinery import SOURCE_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from supervisor_d._version import __version__

BUILT_ON = ("uvloop", "httptools", "h11")


def versions() -> str:
    parts = [f"{platform.python_implementation()} {platform.python_version()}"]
    parts += [f"{package} {installed(package)}" for package in BUILT_ON]
    return f"supervisor-d {__version__}, {form()} ({', '.join(parts)}; {platform.system()})"


def form() -> str:
    """In which of its two forms the way of a request is installed: contrib/backend/compiling.py."""
    spec = find_spec("server_core.http1.connection")  # found, and not loaded: a master has no use for it
    is_source = spec is not None and str(spec.origin).endswith(tuple(SOURCE_SUFFIXES))
    return "plain Python" if is_source else "compiled"


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
