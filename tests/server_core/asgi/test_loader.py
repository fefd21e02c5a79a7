"""What the loader accepts, and what it says about everything else."""

from __future__ import annotations

import asyncio
import queue
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from server_core.asgi.adapters import adapt
from server_core.asgi.lifespan import Lifespan
from server_core.asgi.loader import Target, load
from server_core.errors import BootError, Unfit, UsageError
from server_core.wsgi.middleware import WSGIMiddleware
from tests.apps import loadable
from tests.helpers.http import Heard, run, serving


@pytest.fixture(autouse=True)
def _import_path_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def refusal(name: str, **options: object) -> str:
    with pytest.raises(BootError) as caught:
        load(name, **options)  # type: ignore[arg-type]
    assert caught.value.stage == "import"
    assert caught.value.exit_code == 3
    return caught.value.report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("main:app", Target("main", "app", False)),
        (" a.b:c.d ", Target("a.b", "c.d", False)),
        ("main:make()", Target("main", "make", True)),
    ],
)
def test_a_name_is_a_module_and_an_attribute(text: str, expected: Target) -> None:
    assert Target.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("main", "did you mean main:app?"),
        ("main.py", "did you mean main:app?"),
        ("src/main.py:api", "did you mean src.main:api?"),
        ("shop.main.app", "did you mean shop.main:app?"),
        ("shop.main", "did you mean shop.main:app?"),
        ("shop/api.py", "did you mean shop.api:app?"),
        ("/srv/shop/main:app", "did you mean main:app with --app-dir /srv/shop?"),
        ("/srv/shop/main.py", "did you mean main:app with --app-dir /srv/shop?"),
        ("main:make(1)", "'main:make(1)'"),
        (":app", "':app'"),
        ("", "''"),
    ],
)
def test_an_ill_formed_name_is_refused_with_what_was_probably_meant(text: str, meant: str) -> None:
    with pytest.raises(UsageError, match="must be module:attribute") as caught:
        Target.parse(text)
    assert meant in str(caught.value)


@pytest.mark.parametrize("name", ["app", "Holder.app", "instance"])
def test_an_asgi_3_application_is_loaded_as_it_is(name: str) -> None:
    expected: object = loadable
    for part in name.split("."):
        expected = getattr(expected, part)
    assert load(f"tests.apps.loadable:{name}") == expected


def test_a_factory_is_called_by_its_parentheses_or_by_the_option() -> None:
    assert load("tests.apps.loadable:make_app()") is loadable.app
    assert load("tests.apps.loadable:make_app", factory=True) is loadable.app


def test_an_asgi_2_application_is_wrapped() -> None:
    scope: dict[str, object] = {"asgi": {"version": "3.0"}}

    async def receive() -> dict[str, object]:
        return {}

    async def send(_message: object) -> None:
        return

    asyncio.run(load("tests.apps.loadable:double")(scope, receive, send))  # type: ignore[arg-type]
    assert scope["called_with"] == (receive, send)


def test_asgi_2_is_told_that_it_is_called_as_asgi_2() -> None:
    scope: dict[str, object] = {"asgi": {"version": "3.0", "spec_version": "2.5"}}

    async def nothing(*_: object) -> dict[str, object]:
        return {}

    asyncio.run(load("tests.apps.loadable:double", interface="asgi2")(scope, nothing, nothing))  # type: ignore[arg-type]
    assert scope["asgi"] == {"version": "2.0", "spec_version": "2.5"}


class WsgiObject:
    def __call__(self, _environ: object, _start_response: object) -> list[bytes]:
        return []

    def respond(self, _environ: object, _start_response: object) -> list[bytes]:
        return []


def wsgi_with_more(environ: object, start_response: object, more: object = None) -> list[object]:
    return [environ, start_response, more]


@pytest.mark.parametrize("make", [WsgiObject, lambda: wsgi_with_more, lambda: WsgiObject().respond])
def test_a_wsgi_application_is_told_by_its_parameters(make: Callable[[], object]) -> None:
    assert isinstance(adapt(make(), "site"), WSGIMiddleware)


def test_what_is_no_wsgi_application_is_not_taken_for_one() -> None:
    async def two(_environ: object, _start_response: object) -> None: ...

    with pytest.raises(Unfit, match="cannot be called with"):
        adapt(two, "two")


@pytest.mark.parametrize(
    ("name", "interface"),
    [("app", "asgi2"), ("app", "wsgi"), ("double", "asgi3"), ("wsgi", "asgi3"), ("wsgi", "asgi2"), ("double", "wsgi")],
)
def test_an_application_that_does_not_speak_the_interface_it_is_said_to_is_refused(name: str, interface: str) -> None:
    said = refusal(f"tests.apps.loadable:{name}", interface=interface)
    assert "cannot be called with (" in said
    assert f"as {interface} is" in said


@pytest.mark.parametrize("interface", ["wsgi", "auto"])
def test_a_wsgi_application_is_served(interface: str) -> None:
    app = load("tests.apps.loadable:wsgi", interface=interface)

    async def scenario() -> None:
        lifespan = Lifespan(app, "auto", name="wsgi", log=Heard())
        await lifespan.startup()
        assert not lifespan.is_started, "WSGI has none"
        async with serving(app, root_path="/api") as served:  # type: ignore[arg-type]  # the same, named elsewhere
            client = await served.connect()
            for _ in range(2):
                client.send(b"POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
                response = await client.response()
                assert (response.status, response.headers["x-host"]) == (201, "h")
                assert response.body == b"POST /api|/a b?c=d hello"
            assert not served.heard.all("request.failed")

    run(scenario())


@pytest.mark.parametrize("name", ["app()", "Holder.app()", "instance()"])
def test_an_application_that_is_called_as_a_factory_is_recognised(name: str) -> None:
    said = f"app: tests.apps.loadable:{name[:-2]} takes (scope, receive, send): it is an application, and no factory"
    assert said in refusal(f"tests.apps.loadable:{name}")
    assert "leave out --factory and ()" in refusal(f"tests.apps.loadable:{name}")


def test_a_factory_that_wants_arguments_is_told_so() -> None:
    assert "make_for(settings: str) -> object must take no arguments" in refusal("tests.apps.loadable:make_for()")


def test_a_factory_that_was_not_called_is_recognised() -> None:
    assert "write tests.apps.loadable:make_app()" in refusal("tests.apps.loadable:make_app")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("number", "must be callable, as an application is, and is an int"),
        ("number()", "must be callable, and is an int"),
        ("make_nothing()", "must be callable, as an application is, and is None"),
        ("make_async()", "is async; it must be a plain function"),
        ("four", "cannot be called with (scope, receive, send)"),
        ("ap", "has no attribute 'ap'; did you mean 'app'"),
        ("Holder.ap", "did you mean 'app'"),
        ("nowhere_near", "has no attribute 'nowhere_near'"),
    ],
)
def test_what_is_no_application_is_refused_with_the_reason(name: str, said: str) -> None:
    assert said in refusal(f"tests.apps.loadable:{name}")


def test_what_is_no_application_is_told_with_the_file_that_was_loaded(tmp_path: Path) -> None:
    for name in ("queue.py", "shadowed_app.py"):
        (tmp_path / name).write_text("async def app(scope, receive, send): ...\n")
    standard = f"app: module 'queue' has no attribute 'server'; 'queue' was loaded from {queue.__file__}, not from "
    reason = "the other one is the standard library's, and is in use before the application is imported; rename yours"
    assert refusal("queue:server", app_dir=str(tmp_path)) == f"{standard}{tmp_path}/queue.py: {reason}"
    other = tmp_path / "other"
    other.mkdir()
    (other / "shadowed_app.py").write_text("app = 42\n")
    sys.modules.pop("shadowed_app", None)
    sys.path.insert(0, str(other))
    import_module("shadowed_app")
    said = refusal("shadowed_app:app", app_dir=str(tmp_path))
    assert said.startswith("app: shadowed_app:app must be callable, as an application is, and is an int; ")
    assert said.endswith(f"{other}/shadowed_app.py, not from {tmp_path}/shadowed_app.py: the other one is found first")
    assert f"'shadowed_app' was loaded from {other}/shadowed_app.py" in refusal("shadowed_app.main:app")


@pytest.mark.parametrize("name", ["make_error()", "make_exit()"])
def test_a_factory_that_raises_shows_its_own_traceback_and_none_of_ours(name: str) -> None:
    report = refusal(f"tests.apps.loadable:{name}")
    assert report.startswith("Traceback (most recent call last):\n  File ")
    assert "loadable.py" in report.splitlines()[1]
    assert "server_core" not in report


def test_a_module_that_is_not_there_is_named_with_the_place_and_the_near_miss(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("app = None\n")
    report = refusal("servise:app", app_dir=str(tmp_path))
    expected = (
        f"app: no module named 'servise' for servise:app, looked for first in {tmp_path}; did you mean 'service'?"
    )
    assert report == expected


def test_a_missing_import_inside_the_application_is_its_own_traceback(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("import surely_not_installed\n")
    report = refusal("needy:app", app_dir=str(tmp_path))
    assert "needy.py" in report.splitlines()[1]
    assert report.endswith("ModuleNotFoundError: No module named 'surely_not_installed'")


def test_a_syntax_error_shows_the_line(tmp_path: Path) -> None:
    (tmp_path / "crooked.py").write_text("def app(:\n")
    report = refusal("crooked:app", app_dir=str(tmp_path))
    assert "def app(:" in report
    assert "SyntaxError" in report


def test_a_module_that_exits_when_imported_is_a_boot_failure(tmp_path: Path) -> None:
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    assert refusal("leaving:app", app_dir=str(tmp_path)).endswith("SystemExit: 0")


def test_the_cause_of_an_error_is_stripped_of_our_frames_too(tmp_path: Path) -> None:
    script = "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise OSError from error\n"
    (tmp_path / "chained.py").write_text(script)
    report = refusal("chained:app", app_dir=str(tmp_path))
    assert "ZeroDivisionError" in report
    assert "server_core" not in report
    assert "importlib" not in report


def test_the_app_dir_is_the_first_place_of_the_import_path(tmp_path: Path) -> None:
    (tmp_path / "placed.py").write_text("async def app(scope, receive, send): ...\n")
    load("placed:app", app_dir=str(tmp_path))
    assert sys.path[0] == str(tmp_path)


def test_an_app_dir_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"app-dir: .*nowhere' is not a directory"):
        load("main:app", app_dir=str(tmp_path / "nowhere"))
