"""What a scope says of a request that came through proxies: whom the server believes, and in what."""

# ruff: noqa: ARG001 - an ASGI application takes three arguments, whether it needs them or not

from __future__ import annotations

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.http.fields import REMEMBERED
from server_core.http.message import Fields, Head, RequestRejected
from server_core.proxy.forwarding import ForwardedHeaders, names_to_know
from server_core.settings.declaration import ServerSettings
from tests.helpers.http import PARSERS, reply, run, serving

X_FORWARDED = "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port"


def told(believed: str, *lines: str, trusted: str = "10.0.0.0/8", host: str = "inner:8000") -> dict[str, object]:
    """What is left of a scope's defaults after these fields from a trusted peer: client, scheme, server, Host."""
    fields = [(b"host", host.encode("ascii"))] if host else []
    settings = ServerSettings(forwarded_headers=believed, forwarded_allow_ips=trusted)
    names = names_to_know(settings)
    head = Head()
    head.forwarded = []
    for line in lines:
        name, _, value = line.partition(": ")
        fields.append((name.encode("ascii"), value.encode("latin-1")))
        if fields[-1][0] in names:
            head.forwarded.append(fields[-1])
    head.fields = fields
    scope: dict[str, object] = {"client": ("10.0.0.1", 5), "scheme": "http", "server": ("10.0.0.2", 8000)}
    scope["headers"] = fields
    before = dict(scope)
    if head.forwarded:
        ForwardedHeaders(settings).amend(scope, head)
    headers = scope.pop("headers")
    assert isinstance(headers, list)
    hosts = [value.decode() for name, value in headers if name == b"host"]
    if hosts != ([host] if host else []):
        scope["host"] = hosts[0]
    return {name: value for name, value in scope.items() if value != before.get(name)}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["x-forwarded-for: 192.0.2.1"], {"client": ("192.0.2.1", 0)}),
        (["x-forwarded-for: 192.0.2.1:4711"], {"client": ("192.0.2.1", 4711)}),
        (["x-forwarded-for: 203.0.113.9", "x-forwarded-for: 10.0.0.7"], {"client": ("203.0.113.9", 0)}),
        (["x-forwarded-for: unknown", "x-forwarded-proto: https"], {"scheme": "https"}),
        (["x-forwarded-proto: HTTPS"], {"scheme": "https"}),
        (["x-forwarded-proto: wss"], {"scheme": "https"}),
        (["x-forwarded-proto: gopher"], {}),
        (["x-forwarded-proto:  "], {}),
        (["x-forwarded-proto: https,http"], {}),
    ],
)
def test_x_forwarded_for_and_proto_are_believed_without_being_asked_for(
    lines: list[str], expected: dict[str, object]
) -> None:
    assert told("x-forwarded-for,x-forwarded-proto", *lines) == expected


@pytest.mark.parametrize(
    ("chain", "schemes", "expected"),
    [
        ("192.0.2.1, 10.0.0.9", "https, http", "https"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.9", "https, http, http", "http"),
        ("192.0.2.1, 10.0.0.9", "https", "https"),
        ("192.0.2.1", "https, http", "http"),
    ],
    ids=["both append", "a forged element is left of it", "the outer one sets it alone", "an inner one appends"],
)
def test_the_scheme_is_what_the_proxy_said_that_saw_the_client(chain: str, schemes: str, expected: str) -> None:
    found = told("x-forwarded-for,x-forwarded-proto", f"x-forwarded-for: {chain}", f"x-forwarded-proto: {schemes}")
    assert found.get("scheme", "http") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["x-forwarded-host: shop.example"], {"host": "shop.example", "server": ("shop.example", 80)}),
        (
            ["x-forwarded-host: shop.example", "x-forwarded-proto: https"],
            {"host": "shop.example", "server": ("shop.example", 443), "scheme": "https"},
        ),
        (["x-forwarded-host: shop.example:81"], {"host": "shop.example:81", "server": ("shop.example", 81)}),
        (["x-forwarded-host: [2001:db8::1]"], {"host": "[2001:db8::1]", "server": ("2001:db8::1", 80)}),
        (["x-forwarded-host: [2001:db8::1]:81"], {"host": "[2001:db8::1]:81", "server": ("2001:db8::1", 81)}),
        (["x-forwarded-port: 8443"], {"host": "inner:8443", "server": ("inner", 8443)}),
        (["x-forwarded-port: 80"], {"host": "inner", "server": ("inner", 80)}),
        (
            ["x-forwarded-host: shop.example:81", "x-forwarded-port: 8443"],
            {"host": "shop.example:8443", "server": ("shop.example", 8443)},
        ),
        (["x-forwarded-host: a b"], {}),
        (["x-forwarded-host: :80"], {}),
        (["x-forwarded-host: x:99999"], {}),
        (["x-forwarded-host: "], {}),
        (["x-forwarded-port: 0"], {}),
        (["x-forwarded-port: 65536"], {}),
        (["x-forwarded-port: -1"], {}),
        (["x-forwarded-port: 80a"], {}),
    ],
)
def test_host_and_port_replace_the_host_field_and_the_server(lines: list[str], expected: dict[str, object]) -> None:
    assert told(X_FORWARDED, *lines) == expected


def test_a_port_without_any_host_names_nothing() -> None:
    assert told(X_FORWARDED, "x-forwarded-port: 8443", host="") == {}


@pytest.mark.parametrize(
    "line", ["x-forwarded-host: evil.example", "x-forwarded-port: 1", "forwarded: for=6.6.6.6;host=evil.example"]
)
def test_a_field_that_is_not_named_is_only_a_header(line: str) -> None:
    assert told("x-forwarded-for,x-forwarded-proto", line) == {}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["forwarded: for=192.0.2.1"], {"client": ("192.0.2.1", 0)}),
        (['forwarded: for="[2001:db8::1]:4711"'], {"client": ("2001:db8::1", 4711)}),
        (
            ['forwarded: for=6.6.6.6;proto=http, for=192.0.2.1;proto=https;host="a.example", for=10.0.0.3;proto=http'],
            {
                "client": ("192.0.2.1", 0),
                "scheme": "https",
                "host": "a.example",
                "server": ("a.example", 443),
            },
        ),
        (
            ["forwarded: for=192.0.2.1;proto=https", "forwarded: for=10.0.0.3"],
            {"client": ("192.0.2.1", 0), "scheme": "https"},
        ),
        (["forwarded: for=_hidden;proto=https"], {"scheme": "https"}),
        (["forwarded: for=192.0.2.1;proto=https, for=unknown"], {}),
        (["forwarded: ,"], {}),
    ],
)
def test_forwarded_tells_the_same_by_its_elements(lines: list[str], expected: dict[str, object]) -> None:
    assert told("forwarded", *lines) == expected


def test_a_forwarded_that_cannot_be_read_is_refused_rather_than_guessed_at() -> None:
    with pytest.raises(RequestRejected, match="malformed Forwarded"):
        told("forwarded", 'forwarded: for=", for=192.0.2.1')


def test_what_is_remembered_is_bounded() -> None:
    origin = ForwardedHeaders(ServerSettings(forwarded_headers="x-forwarded-for", forwarded_allow_ips="*"))
    for number in range(2 * REMEMBERED):
        head = Head()
        head.fields = head.forwarded = fields_of(number)
        scope: dict[str, object] = {}
        origin.amend(scope, head)
        assert scope["client"] == (f"10.0.{number >> 8}.{number & 255}", 0)
    assert len(origin._seen) <= REMEMBERED


def fields_of(number: int) -> Fields:
    return [(b"x-forwarded-for", b"10.0.%d.%d" % (number >> 8, number & 255))]


async def who(scope: Message, receive: Receive, send: Send) -> None:
    hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]  # type: ignore[attr-defined]  # pairs
    await reply(send, f"{scope['client']} {scope['scheme']} {scope['server']} {hosts}".encode())


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("setting", ["127.0.0.1", "10.0.0.1"], ids=["trusted", "not trusted"])
def test_the_scope_carries_what_a_trusted_peer_says_and_nobody_else(setting: str, parser: str) -> None:
    async def scenario() -> None:
        names = {"forwarded_headers": X_FORWARDED, "forwarded_allow_ips": setting}
        async with serving(who, http=parser, **names) as served:
            client = await served.connect()
            port = client.writer.get_extra_info("sockname")[1]
            plain = f"('127.0.0.1', {port}) http {served.address} ['x']".encode()
            request = (
                b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
                b"X-FORWARDED-HOST: shop.example\r\nx-forwarded-port: 8443\r\n\r\n"
            )
            told = b"('192.0.2.1', 0) https ('shop.example', 8443) ['shop.example:8443']"
            assert (await client.get(request)).body == (told if setting == "127.0.0.1" else plain)
            assert (await client.get()).body == plain, "the next request says nothing"

    run(scenario())


@pytest.mark.parametrize("parser", PARSERS)
def test_a_malformed_forwarded_is_answered_400_to_a_trusted_peer_and_no_matter_to_another(parser: str) -> None:
    async def scenario() -> None:
        request = b'GET / HTTP/1.1\r\nHost: x\r\nForwarded: for="\r\n\r\n'
        for setting, status in (("127.0.0.1", 400), ("10.0.0.1", 200)):
            async with serving(who, http=parser, forwarded_headers="forwarded", forwarded_allow_ips=setting) as served:
                assert (await (await served.connect()).get(request)).status == status

    run(scenario())
