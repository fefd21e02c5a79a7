"""From the text an operator writes, `module:attribute` or `module:factory()`, to an ASGI 3 application.

Whatever is wrong is said here and now, with what would be accepted: an application that cannot be called with
(scope, receive, send) must not be found out by its first client.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import cast

from server_core.asgi.adapters import Application, adapt, kind_of, takes
from server_core.asgi.module_origin import origin_of
from server_core.errors import BootError, Unfit, UsageError, application_traceback
from server_core.records import dataclass
from server_core.settings.value_types import parse_app


@dataclass(frozen=True, slots=True)
class Target:
    """An application's name taken apart; `is_factory` says that calling the attribute makes the application."""

    module: str
    attribute: str
    is_factory: bool

    @staticmethod
    def parse(text: str, *, factory: bool = False) -> Target:
        """UsageError unless the text is `module:attribute` or `module:factory()`."""
        try:
            name = parse_app(text)
        except ValueError as error:
            raise UsageError(f"app: {error}") from error
        module, _, attribute = name.removesuffix("()").partition(":")
        return Target(module, attribute, factory or name.endswith("()"))

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}" + ("()" if self.is_factory else "")


def load(text: str, *, factory: bool = False, app_dir: str = "", interface: str = "auto") -> Application:
    """The application that the text names, ready to be called with (scope, receive, send).

    `app_dir` becomes the first place that imports are looked for in; by default that is the working directory, unless
    it is among those places already. Raises UsageError for an ill-formed text, BootError("import", ...) for all else.
    """
    target = Target.parse(text, factory=factory)
    directory = os.path.abspath(app_dir or os.curdir)
    if not os.path.isdir(directory):
        raise UsageError(f"app-dir: {directory!r} is not a directory")
    if directory not in (sys.path[:1] if app_dir else sys.path):
        sys.path.insert(0, directory)
    module = _module(target, directory)
    try:
        found = _attribute(module, target)
        return adapt(_made(found, target) if target.is_factory else found, str(target), interface)
    except Unfit as error:
        raise BootError("import", f"{error.report}; {origin_of(module, directory)}") from error.__cause__


def _module(target: Target, directory: str) -> ModuleType:
    try:
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        if error.name is not None and (target.module + ".").startswith(error.name + "."):
            raise BootError("import", f"{_unfound(target, error.name, directory)}") from error
        raise BootError("import", application_traceback(error)) from error
    except BaseException as error:  # SystemExit, too: a module that exits when imported is no application
        raise BootError("import", application_traceback(error)) from error


def _unfound(target: Target, missing: str, directory: str) -> str:
    names = [entry.removesuffix(".py") for entry in sorted(os.listdir(directory)) if not entry.startswith((".", "_"))]
    near = difflib.get_close_matches(missing, names, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    parent = sys.modules.get(missing.rpartition(".")[0])
    found = f"; {origin_of(parent, directory)}" if parent is not None else ""
    return f"app: no module named {missing!r} for {target}, looked for first in {directory}{meant}{found}"


def _attribute(module: ModuleType, target: Target) -> object:
    found: object = module
    for name in target.attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise Unfit(f"app: {_absent(found, name, target)}") from error
        except BaseException as error:  # a module's __getattr__ runs application code
            raise BootError("import", application_traceback(error)) from error
    return found


def _absent(owner: object, name: str, target: Target) -> str:
    names = [each for each in dir(owner) if not each.startswith("_")]
    near = difflib.get_close_matches(name, names, n=3)
    what = f"module {target.module!r}" if isinstance(owner, ModuleType) else f"{type(owner).__name__} object"
    return f"{what} has no attribute {name!r}" + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")


def _made(factory: object, target: Target) -> object:
    if not callable(factory):
        raise Unfit(f"app: factory {target} must be callable, and is {kind_of(factory)}")
    if not takes(factory, 0):
        raise Unfit(f"app: {_no_factory(factory, target)}")
    try:
        made = factory()
    except BaseException as error:  # SystemExit, too: see _module
        raise BootError("import", application_traceback(error)) from error
    if inspect.iscoroutine(made):
        made.close()
        raise Unfit(f"app: factory {target} is async; it must be a plain function, as no loop runs yet")
    return cast(object, made)


def _no_factory(found: Callable[..., object], target: Target) -> str:
    """What is wrong with a callable that cannot be called without arguments."""
    name = str(target).removesuffix("()")
    if takes(found, 3):
        return f"{name} takes (scope, receive, send): it is an application, and no factory; leave out --factory and ()"
    return f"factory {name}{inspect.signature(found)} must take no arguments"
