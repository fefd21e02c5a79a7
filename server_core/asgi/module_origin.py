"""Which file a module came from, in words, for an application that is not in the module of its name."""

from __future__ import annotations

import os
import sys
from types import ModuleType


def origin_of(module: ModuleType, directory: str) -> str:
    """Where it was loaded from; if `directory` has a module of that name, too, why that one was not loaded."""
    name = module.__name__
    file = getattr(module, "__file__", None)
    places = ", ".join(getattr(module, "__path__", ()))
    loaded = file or (f"the folder {places}, which has no __init__.py" if places else "the interpreter, built in")
    told = f"{name!r} was loaded from {loaded}"
    meant = [place for place in _candidates(os.path.join(directory, *name.split("."))) if os.path.exists(place)]
    if not meant or (file is not None and any(_is_same(place, file) for place in meant)):
        return told
    reason = "is found first"
    if name.partition(".")[0] in sys.stdlib_module_names:
        reason = "is the standard library's, and is in use before the application is imported; rename yours"
    return f"{told}, not from {meant[0]}: the other one {reason}"


def _candidates(path: str) -> tuple[str, str]:
    return f"{path}.py", os.path.join(path, "__init__.py")


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # in an archive, or gone
        return False
