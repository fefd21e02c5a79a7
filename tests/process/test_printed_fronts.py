"""The files that `init` prints for front ends, each started for real before a daemon of the very command line.

Every command line is asked the same: a request that forges each field which could tell who asks. Nothing of it may
reach the application, whatever the settings believe, and what they believe must be the client's own.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from supervisor_d.cli.program import cli
from tests.helpers.certificates import authority, localhost
from tests.helpers.daemon import DEADLINE_S, Daemon, running
from tests.helpers.fronts import FRONTS, fronted, printed

APP: Final = """
import json
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    told = {name: scope[name] for name in ("client", "server", "scheme", "path")}
    told["raw_path"] = scope["raw_path"].decode()
    told["id"] = scope.get("state", {}).get("request_id")
    told["headers"] = {name.decode(): value.decode() for name, value in scope["headers"]}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""

CLIENT: Final = "127.0.0.2"
"""Where the clients are: not among the peers that are believed."""

FORGED: Final = (
    "X-Forwarded-For: 6.6.6.1\r\nX-Forwarded-Proto: wss\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 6666\r\n"
    'Forwarded: for=6.6.6.2;proto=wss;host="evil.example"\r\nX-Request-ID: evil-id\r\n'
    "X_Forwarded_For: 6.6.6.3\r\nX-Forwarded_Proto: wss\r\nX_Forwarded-Host: evil.example\r\nX_Request_ID: evil-id\r\n"
)
EVIL: Final = re.compile(r"6\.6\.6|wss|evil|(?<![0-9a-f-])6666(?![0-9a-f-])")
"""The last one not within an id, of which every digit is a matter of chance."""

XF: Final = "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port"


@dataclass(frozen=True)
class Case:
    """A command line, and what the application sees of a request behind each front end."""

    flags: tuple[str, ...] = ()
    bind: str = "127.0.0.1:0"
    client: str = CLIENT
    scheme: str = "http"
    host: str = "shop.example:8443"
    server: tuple[str, int] | None = None
    path: str = "/a%2Fb"
    fields: Mapping[str, str] = field(default_factory=dict)
    """Some that the application must have been sent; PORT stands for the front end's."""
    identity: str = "x-request-id"
    refused: Mapping[str, str] = field(default_factory=dict)
    """By front end: how the refusal begins."""


UNIX: Final = ("--unix-mode", "0666", "--forwarded-allow-ips", "unix")
TLS: Final = ("--ssl-certfile", "{certificate}", "--ssl-keyfile", "{key}")

CASES: Final[Mapping[str, Case]] = {
    "the default": Case(fields={"x-forwarded-for": CLIENT, "x-forwarded-proto": "http"}),
    "a Unix socket, with a blank in its name": Case(UNIX, bind="unix:{place}/a b.sock"),
    "a Unix socket in the working directory": Case(UNIX, bind="unix:app.sock"),
    "TLS": Case(TLS),
    "TLS 1.3 alone, over a Unix socket": Case(
        (*UNIX, *TLS, "--ssl-min-version", "1.3"),
        bind="unix:{place}/tls.sock",
    ),
    "Forwarded": Case(
        ("--forwarded-headers", "forwarded"),
        server=("shop.example", 8443),
        fields={"forwarded": f'for={CLIENT};proto=http;host="shop.example:8443"'},
    ),
    "Forwarded, of whoever connects": Case(
        ("--forwarded-headers", "forwarded", "--forwarded-allow-ips", "*"), server=("shop.example", 8443)
    ),
    "every X-Forwarded field, of whoever connects": Case(
        ("--forwarded-headers", XF, "--forwarded-allow-ips", "*"), host="shop.example:PORT"
    ),
    "nothing believed, no connection kept": Case(
        ("--forwarded-headers", "off", "--keep-alive", "0"), client="127.0.0.1"
    ),
    "an id of another name, a short life": Case(
        ("--request-id", "X-Correlation-ID", "--keep-alive", "2"), identity="x-correlation-id"
    ),
    "an id, names with an underscore": Case(("--request-id", "X-Request-ID", "--underscore-headers", "keep")),
    "a prefix, and a limit": Case(("--root-path", "/api/v1.0", "--limit-body", "1000"), path="/api/v1.0/a%2Fb"),
    "a PROXY header": Case(
        ("--proxy-protocol",),
        refused={"nginx": "proxy-protocol: must be off behind this nginx", "caddy": "proxy-protocol: must be off"},
    ),
    "clients' certificates": Case(
        (*TLS, "--ssl-cert-reqs", "required", "--ssl-ca-certs", "{authority}"),
        refused=dict.fromkeys(FRONTS, "ssl-cert-reqs: must be none behind "),
    ),
}


def ask(port: int, request: str, body: bytes = b"") -> tuple[int, str]:
    """The status and the body of one answer, on a connection of its own."""
    head, told = answer(port, request, body)
    return int(head.split(" ", 2)[1]), told


def answer(port: int, request: str, body: bytes = b"") -> tuple[str, str]:
    """The head and the body."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S, source_address=(CLIENT, 0)) as sock:
        sock.sendall(request.encode() + b"\r\n" + body)
        found = b""
        while data := sock.recv(65536):
            found += data
    head, _, told = found.decode().partition("\r\n\r\n")
    return head, told


def forged(case: Case) -> str:
    head = f"GET {case.path} HTTP/1.1\r\nHost: shop.example:8443\r\nConnection: close\r\n{FORGED}"
    return f"{head}{case.identity}: evil-id\r\n"


@contextlib.contextmanager
def serving(case: Case, place: Path) -> Iterator[tuple[Daemon, tuple[str, ...]]]:
    """A daemon of this command line, and its flags with the port that it took."""
    (place / "app.py").write_text(APP)
    pair = localhost()
    words = {
        "certificate": pair.certificate,
        "key": pair.key,
        "authority": authority().certificate,
        "place": str(place),
    }
    flags = tuple(flag.format(**words) for flag in case.flags)
    bind = case.bind.format(**words)
    with running(*flags, directory=place, bind=bind) as daemon:
        daemon.heard.expect("worker.ready")
        taken = bind if bind.startswith("unix:") else "{}:{}".format(*daemon.address())
        yield daemon, ("--bind", taken, *flags)


def check(case: Case, told: Mapping[str, object], port: int) -> None:
    text = json.dumps(told)
    assert not EVIL.findall(text), f"the client's own word: {text}"
    client, headers = told["client"], told["headers"]
    assert isinstance(client, list)
    assert isinstance(headers, dict)
    assert client[0] == case.client
    assert told["scheme"] == case.scheme
    assert headers["host"] == case.host.replace("PORT", str(port))
    if case.server:
        assert told["server"] == list(case.server)
    assert told["raw_path"] == "/a%2Fb"
    assert case.fields.items() <= headers.items()
    if "--request-id" in case.flags:
        assert told["id"] == headers[case.identity]


def check_the_rest(case: Case, port: int) -> None:
    """What only some command lines ask for."""
    if not case.flags:  # as probes of load balancers have it (RFC 1945 has no Host)
        assert ask(port, "GET / HTTP/1.0\r\n")[0] == 200
    if "forwarded" in case.flags:
        # A host that ends the quotes which the front end puts around it would begin an element of its own.
        status, body = ask(port, 'GET / HTTP/1.1\r\nHost: x",for="6.6.6.9\r\nConnection: close\r\n')
        assert status == 400 or '"client": ["6' not in body, body
    if "--root-path" in case.flags:
        prefix = case.flags[case.flags.index("--root-path") + 1]
        ends = "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        for path in ("/", "/other", f"{prefix}er/a", prefix[:-1]):
            assert ask(port, f"GET {path} {ends}")[0] == 404, path
        for query in ("", "?a=1&b=%2F"):
            head, _ = answer(port, f"GET {prefix}{query} {ends}")
            assert head.split(" ", 2)[1] in ("301", "308")
            location = head.lower().partition("\r\nlocation: ")[2].partition("\r\n")[0]
            assert location.removesuffix("?").endswith(f"{prefix}/{query.lower()}")
    large = f"GET {case.path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Large: {'x' * 40000}\r\n"
    assert ask(port, large)[0] == 200  # the daemon takes 64 KiB of fields
    if "--limit-body" in case.flags:
        for size, expected in ((1000, 200), (1001, 413)):
            head = f"POST {case.path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n"
            assert ask(port, head, b"x" * size)[0] == expected


@pytest.mark.parametrize("name", CASES)
def test_a_front_end_as_printed_serves_and_no_client_chooses_who_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    with serving(case, tmp_path) as (_, flags):
        for front, make in FRONTS.items():
            if front in case.refused:
                told = CliRunner().invoke(cli, ["init", front, "app:app", *flags])
                assert told.exit_code == 2
                assert told.output.startswith(f"supervisor-d: {case.refused[front]}")
                continue
            place = tmp_path / front
            place.mkdir(mode=0o755)
            with fronted(front, place, "", make(printed(front, *flags))) as started:
                for _ in range(2):  # the second may use the connection of the first
                    status, body = ask(started.port, forged(case))
                    assert status == 200, f"{front}: {body}\n{started.complaints()}"
                    if "--proxy-protocol" in flags:
                        assert json.loads(body)["client"][0] == CLIENT
                    else:
                        check(case, json.loads(body), started.port)
                check_the_rest(case, started.port)
            assert [line for line in started.complaints() if "too large body" not in line] == []
