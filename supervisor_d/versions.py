"""The versions of us and of what our speed and behaviour depend on, in one line."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from supervisor_d import __version__

BUILT_ON = ("uvloop", "httptools", "h11")


def versions() -> str:
    parts = [f"{platform.python_implementation()} {platform.python_version()}"]
    parts += [f"{package} {installed(package)}" for package in BUILT_ON]
    return f"supervisor-d {__version__} ({', '.join(parts)}; {platform.system()})"


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
