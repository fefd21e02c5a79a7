"""From whatever interface an application has to ASGI 3: (scope, receive, send).

interface   what is expected                                    what becomes of it
asgi3       a callable that takes (scope, receive, send)        itself
asgi2       a callable that takes (scope), and gives one that   called anew for each scope
            takes (receive, send)
wsgi        a callable that takes (environ, start_response)     served natively, in threads (server_core/wsgi)
auto        any of these, told by the parameters it takes
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Final, TypeAlias, cast

from server_core.errors import Unfit
from server_core.wsgi.middleware import WSGIMiddleware
from server_core.wsgi.types import WsgiApplication

Scope: TypeAlias = MutableMapping[str, object]
AsgiMessage: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def adapt(found: object, name: str, interface: str = "auto") -> Application:
    """An ASGI 3 application from what was found; Unfit, which is a BootError, if it cannot be one."""
    if not callable(found):
        raise Unfit(f"app: {name} must be callable, as an application is, and is {kind_of(found)}")
    return _ADAPTERS[interface](found, name)


def _three(found: Callable[..., object], name: str) -> Application:
    if not takes(found, 3):
        raise _unfit(found, name, "asgi3", "(scope, receive, send)")
    return cast(Application, found)


def _two(found: Callable[..., object], name: str) -> Application:
    if not takes(found, 1):
        raise _unfit(found, name, "asgi2", "(scope)")
    double = cast("Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]", found)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        versions = cast("Mapping[str, object]", scope["asgi"])
        scope["asgi"] = {**versions, "version": "2.0"}  # how the application is called, as ASGI has it
        await double(scope)(receive, send)

    return application


def _wsgi(found: Callable[..., object], name: str) -> Application:
    if not takes(found, 2):
        raise _unfit(found, name, "wsgi", "(environ, start_response)")
    return WSGIMiddleware(cast(WsgiApplication, found))


def _detected(found: Callable[..., object], name: str) -> Application:
    """Told by the parameters. What cannot be inspected (written in C) or takes any number is believed to be ASGI 3."""
    if isinstance(found, WSGIMiddleware):
        return found
    if takes(found, 2) and not _is_coroutine(found) and (not takes(found, 3) or _is_named_as_wsgi(found)):
        return WSGIMiddleware(cast(WsgiApplication, found))
    if takes(found, 3):
        return cast(Application, found)
    if takes(found, 1):
        return _two(found, name)
    if takes(found, 0):
        raise Unfit(
            f"app: {name} takes no arguments, so it is no ASGI and no WSGI application; if calling it makes one, write "
            f"{name.removesuffix('()')}() or give --factory",
        )
    raise Unfit(f"app: {name}{inspect.signature(found)} cannot be called with (scope, receive, send)")


_ADAPTERS: Final[Mapping[str, Callable[[Callable[..., object], str], Application]]] = {
    "auto": _detected,
    "asgi3": _three,
    "asgi2": _two,
    "wsgi": _wsgi,
}


def takes(found: Callable[..., object], count: int) -> bool:
    """Whether it can be called with so many arguments, as far as Python can tell."""
    try:
        signature = inspect.signature(found)
    except (ValueError, TypeError):  # written in C
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _is_coroutine(found: Callable[..., object]) -> bool:
    """Whether a call gives something to be awaited, which a WSGI application never does."""
    called = found if inspect.isroutine(found) else type(found).__call__
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(called)


def _is_named_as_wsgi(found: Callable[..., object]) -> bool:
    """Whether the first parameter is named as PEP 3333 does, of what takes three arguments as well as two."""
    try:
        return next(iter(inspect.signature(found).parameters), "") in ("environ", "env")
    except (ValueError, TypeError):  # written in C
        return False


def _unfit(found: Callable[..., object], name: str, interface: str, taken: str) -> Unfit:
    return Unfit(f"app: {name}{inspect.signature(found)} cannot be called with {taken}, as {interface} is")


def kind_of(value: object) -> str:
    """A value's kind in words."""
    if value is None or isinstance(value, type):
        return repr(value)
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
