"""Flask, Django, Bottle and Pyramid, served by `auto` in both ways; one that is not installed is skipped by name."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from server_core.asgi.adapters import adapt
from server_core.wsgi import WSGIMiddleware
from tests.frameworks.wsgi_apps import MAKERS, PARTS
from tests.helpers.wsgi import THREADS, ask, chunked, request, serving

UPLOAD_BYTES = 4_800_000
BOUNDARY = b"a-boundary-of-tests"
FILE = (b"x" * 77 + b"\n") * (UPLOAD_BYTES // 78) + b"last"
MULTIPART = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n%b\r\n--%b--\r\n' % (
    BOUNDARY,
    FILE,
    BOUNDARY,
)
OF_MULTIPART = b"content-type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n"
OF_FORM = b"content-type: application/x-www-form-urlencoded\r\n"
IN_CHUNKS = b"transfer-encoding: chunked\r\n"


@pytest.fixture(params=MAKERS)
def app(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return MAKERS[request.param]()


@pytest.mark.filterwarnings("ignore")  # frameworks leave files of uploads to the collector, and use what is deprecated
@pytest.mark.parametrize("threads", THREADS)
def test_a_framework_has_what_it_is_sent(app: Any, threads: int) -> None:
    assert isinstance(adapt(app, "app"), WSGIMiddleware)
    with serving(app, checked=False, threads=threads) as server:
        name = "J\u00fcrgen \u20ac"
        assert ask(server, request(path=f"/hello/{quote(name)}")).body.decode() == f"hello {name}"
        assert ask(server, request("HEAD", "/hello/you"), to_head=True).status == 200
        assert ask(server, request("POST", "/form", OF_FORM, b"text=a+b%26")).body == b"a b&"
        told = f"{len(FILE)} last".encode()
        assert ask(server, request("POST", "/upload", OF_MULTIPART, MULTIPART)).body == told
        assert ask(server, request("POST", "/raw", body=b"r" * 300_000)).body == b"r" * 300_000
        assert ask(server, request(path="/stream")).body == b"".join(b"%d\n" % number for number in range(PARTS))
        assert ask(server, request(path="/nowhere")).status == 404


@pytest.mark.parametrize("threads", THREADS)
def test_a_chunked_upload_is_no_empty_one(threads: int) -> None:
    """Of the others, Django's handler and webob read no body without a length on any server, and Bottle takes off the
    chunks itself, which no server leaves there."""
    pytest.importorskip("flask", reason="flask is not installed")
    with serving(MAKERS["flask"](), checked=False, threads=threads) as server:
        assert ask(server, request("POST", "/raw", IN_CHUNKS) + chunked(b"r" * 99_999, b"last")).body[-4:] == b"last"


@pytest.mark.parametrize("threads", THREADS)
def test_a_chunked_multipart_upload_is_whole(threads: int) -> None:
    pytest.importorskip("flask", reason="flask is not installed")
    parts = [MULTIPART[start : start + 65_000] for start in range(0, len(MULTIPART), 65_000)]
    with serving(MAKERS["flask"](), checked=False, threads=threads) as server:
        sent = request("POST", "/upload", OF_MULTIPART + IN_CHUNKS) + chunked(*parts)
        assert ask(server, sent).body == f"{len(FILE)} last".encode()
