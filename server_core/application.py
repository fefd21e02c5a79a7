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
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from types import ModuleType
from typing import TypeAlias, cast

from server_core.errors import BootError, UsageError, application_traceback
from server_core.kinds import parse_app

Scope: TypeAlias = MutableMapping[str, object]
AsgiMessage: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


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


def load(text: str, *, factory: bool = False, app_dir: str = "") -> Application:
    """The application that the text names, ready to be called with (scope, receive, send).

    `app_dir` (default: the working directory) becomes the first place that imports are looked for in. Raises
    UsageError for an ill-formed text, BootError("import", ...) for all else.
    """
    target = Target.parse(text, factory=factory)
    directory = os.path.abspath(app_dir or os.curdir)
    if not os.path.isdir(directory):
        raise UsageError(f"app-dir: {directory!r} is not a directory")
    if directory not in sys.path[:1]:
        sys.path.insert(0, directory)
    found = _attribute(_module(target, directory), target)
    if target.is_factory:
        found = _made(found, target)
    return adapt(found, str(target))


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
    return f"app: no module named {missing!r} for {target}, looked for first in {directory}{meant}"


def _attribute(module: ModuleType, target: Target) -> object:
    found: object = module
    for name in target.attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise BootError("import", f"app: {_absent(found, name, target)}") from error
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
        raise BootError("import", f"app: factory {target} is not callable, but {_kind(factory)}")
    try:
        made = factory()
    except BaseException as error:  # SystemExit, too: see _module
        raise BootError("import", application_traceback(error)) from error
    if inspect.iscoroutine(made):
        made.close()
        raise BootError("import", f"app: factory {target} is async; it must be a plain function, as no loop runs yet")
    return cast(object, made)


def adapt(found: object, name: str) -> Application:
    """An ASGI 3 application from what was found; BootError("import", ...) if it cannot be one.

    Told by the parameters it takes: three are ASGI 3, one is ASGI 2 (a callable per scope, wrapped here), two are
    WSGI, none a factory. What cannot be inspected (written in C) or takes any number is believed to be ASGI 3.
    """
    if not callable(found):
        raise BootError("import", f"app: {name} is not callable, but {_kind(found)}")
    try:
        signature = inspect.signature(found)
    except (ValueError, TypeError):
        return cast(Application, found)
    if _takes(signature, 3):
        return cast(Application, found)
    if _takes(signature, 2):
        raise BootError(
            "import",
            f"app: {name} takes two arguments, as WSGI applications do (environ, start_response); an ASGI application "
            "takes three (scope, receive, send). Wrap it, for example with a2wsgi.WSGIMiddleware",
        )
    if _takes(signature, 1):
        return _single(cast(Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]], found))
    if _takes(signature, 0):
        raise BootError(
            "import",
            f"app: {name} takes no arguments, so it is no ASGI application; if calling it makes one, write "
            f"{name.removesuffix('()')}() or give --factory",
        )
    raise BootError("import", f"app: {name}{signature} cannot be called with (scope, receive, send)")


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _single(double: Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]) -> Application:
    """ASGI 2 as ASGI 3: `application(scope)` gives the callable that takes receive and send."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await double(scope)(receive, send)

    return application


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
