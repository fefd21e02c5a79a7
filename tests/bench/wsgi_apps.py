"""The WSGI applications of tests.bench.wsgi."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], object]

HELLO: Final = b"Hello, world!"
FILE_BYTES: Final = 100 * 1024
PLAIN: Final = ("Content-Type", "text/plain")


def hello(_environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(HELLO)))])
    return [HELLO]


def waiting(_environ: Environ, start_response: Start) -> Iterable[bytes]:
    """10 ms of blocking I/O, as of a query."""
    time.sleep(0.010)
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(HELLO)))])
    return [HELLO]


def yields(_environ: Environ, start_response: Start) -> Iterator[bytes]:
    """20,000 small parts."""
    start_response("200 OK", [PLAIN])
    for _ in range(20_000):
        yield b"a small part\n"


def upload(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """Read in 64 KiB, and counted."""
    total = 0
    while part := environ["wsgi.input"].read(65536):
        total += len(part)
    said = str(total).encode()
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(said)))])
    return [said]


def file(environ: Environ, start_response: Start) -> Iterable[bytes]:
    """100 KiB by file_wrapper, where there is one."""
    path = Path(gettempdir(), "bench-wsgi-100k")
    if not path.exists() or path.stat().st_size != FILE_BYTES:
        path.write_bytes(b"x" * FILE_BYTES)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(FILE_BYTES))])
    opened = path.open("rb")
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(opened, 65536) if wrapper is not None else iter(lambda: opened.read(65536), b"")


def flask() -> object:
    """A route that answers JSON."""
    import flask as library

    app = library.Flask("bench")

    @app.get("/")
    def root() -> object:
        return library.jsonify(message="Hello, world!", numbers=[1, 2, 3])

    return app


def django() -> object:
    """A page of a template, with a signed session."""
    import django as library
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.template import engines
    from django.urls import path

    def page(request: HttpRequest) -> HttpResponse:
        request.session["seen"] = "yes"
        template = engines["django"].from_string("<h1>{{ title }}</h1>{% for n in numbers %}<p>{{ n }}</p>{% endfor %}")
        return HttpResponse(template.render({"title": "Hello", "numbers": range(20)}, request))

    settings.configure(
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("", page)]}),
        INSTALLED_APPS=["django.contrib.sessions"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    library.setup()
    return get_wsgi_application()


def __getattr__(name: str) -> object:
    """Frameworks are made when they are asked for: most runs need none."""
    makers = {"flask_app": flask, "django_app": django}
    if name not in makers:
        raise AttributeError(name)
    return makers[name]()
