"""The same five routes in each WSGI framework: /hello/NAME, /form (its field `text`), /upload (a file's size and end),
/raw (the body again) and /stream. Imported by name, so that one that is not installed is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

PARTS = 50


def ticks() -> Iterator[bytes]:
    for number in range(PARTS):
        yield b"%d\n" % number


def flask() -> Any:
    import flask as library

    app = library.Flask("frameworks")
    app.add_url_rule("/hello/<name>", view_func=lambda name: f"hello {name}", endpoint="hello")
    app.add_url_rule("/form", view_func=lambda: library.request.form["text"], endpoint="form", methods=["POST"])
    app.add_url_rule(
        "/raw", view_func=lambda: library.request.get_data(as_text=False), endpoint="raw", methods=["POST"]
    )
    app.add_url_rule("/stream", view_func=lambda: library.Response(ticks()), endpoint="stream")

    @app.post("/upload")
    def upload() -> str:
        data = library.request.files["file"].read()
        return f"{len(data)} {data[-4:].decode()}"

    return app


def bottle() -> Any:
    import bottle as library

    app = library.Bottle()
    app.get("/hello/<name>", callback=lambda name: f"hello {name}")
    app.post("/form", callback=lambda: library.request.forms.text)
    app.post("/raw", callback=lambda: library.request.body.read())  # noqa: PLW0108 - of the request that there is then
    app.get("/stream", callback=ticks)

    @app.post("/upload")
    def upload() -> str:
        data = library.request.files.file.file.read()
        return f"{len(data)} {data[-4:].decode()}"

    return app


def django() -> Any:
    import django as library
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django.urls import path

    def upload(request: HttpRequest) -> HttpResponse:
        data = request.FILES["file"].read()
        return HttpResponse(f"{len(data)} {data[-4:].decode()}")

    routes = [
        path("hello/<name>", lambda _, name: HttpResponse(f"hello {name}")),
        path("form", lambda request: HttpResponse(request.POST["text"])),
        path("upload", upload),
        path("raw", lambda request: HttpResponse(request.body)),
        path("stream", lambda _: StreamingHttpResponse(ticks())),
    ]
    if not settings.configured:
        urls = type("urls", (), {"urlpatterns": routes})
        settings.configure(
            SECRET_KEY="of a test",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=urls,
            MIDDLEWARE=[],
            DATA_UPLOAD_MAX_MEMORY_SIZE=None,
        )
        library.setup()
    return get_wsgi_application()


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    def upload(request: Any) -> Any:
        data = request.POST["file"].file.read()
        return Response(f"{len(data)} {data[-4:].decode()}")

    views: dict[str, Callable[[Any], Any]] = {
        "/hello/{name}": lambda request: Response(f"hello {request.matchdict['name']}"),
        "/form": lambda request: Response(request.POST["text"]),
        "/upload": upload,
        "/raw": lambda request: Response(body=request.body),
        "/stream": lambda _: Response(app_iter=ticks()),
    }
    with Configurator() as config:
        for route, view in views.items():
            config.add_route(route, route)
            config.add_view(view, route_name=route)
        return config.make_wsgi_app()


MAKERS: dict[str, Callable[[], Any]] = {"flask": flask, "bottle": bottle, "django": django, "pyramid": pyramid}
