"""TLS: what is refused before anything listens, who is let in, what the application is told, how it ends."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import shutil
import socket
import ssl
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from server_core.asgi.http_exchange import Message, Receive, Send
from server_core.settings.declaration import ServerSettings
from server_core.tls.context import TlsError, ending, problem
from server_core.tls.termination import load
from tests.helpers.certificates import Authority, Pair, authority, localhost
from tests.helpers.http import DEADLINE_S, GET, Client, Served, reply, run, serving, until
from tests.helpers.websocket import TEXT, close_frame, frame, handshake, next_close, next_frame

LOOPS = ("asyncio", "uvloop")
USABLE = ServerSettings(ssl_certfile=(localhost().certificate,), ssl_keyfile=(localhost().key,))


def served_with(**changes: object) -> dict[str, object]:
    """Settings of a server with a good certificate."""
    return {"ssl_certfile": (localhost().certificate,), "ssl_keyfile": (localhost().key,), **changes}


class Teller:
    """Keeps the scopes it is called with, and answers."""

    def __init__(self) -> None:
        self.scopes: list[Message] = []

    async def __call__(self, scope: Message, _receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await reply(send, b"secret")

    @property
    def extension(self) -> dict[str, object]:
        return cast("dict[str, dict[str, object]]", self.scopes[-1]["extensions"])["tls"]


# What is refused


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The key of localhost, encrypted with the password `sesame`."""
    path = tmp_path_factory.mktemp("keys") / "encrypted.key"
    command = ["openssl", "pkey", "-in", localhost().key, "-aes256", "-passout", "pass:sesame", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return str(path)


def written(path: Path, text: str) -> tuple[str, ...]:
    path.write_text(text)
    return (str(path),)


def test_a_good_pair_can_be_used() -> None:
    assert problem(USABLE) is None
    assert problem(ServerSettings(ssl_certfile=(localhost().both,))) is None
    assert problem(ServerSettings()) is None
    assert load(ServerSettings()) is None


def test_what_cannot_be_used_is_told_by_its_settings_name(tmp_path: Path) -> None:
    other = authority().pair("other.example")
    garbage = written(tmp_path / "garbage", "garbage\n")
    missing = (str(tmp_path / "missing"),)
    broken = written(tmp_path / "broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    cases: list[tuple[dict[str, object], str, str]] = [
        ({"ssl_certfile": missing}, "ssl_certfile", "No such file"),
        ({"ssl_certfile": (str(tmp_path),)}, "ssl_certfile", "Is a directory"),
        ({"ssl_keyfile": missing}, "ssl_keyfile", "No such file"),
        ({"ssl_keyfile": (other.key,)}, "ssl_keyfile", "is not the key of the certificate"),
        ({"ssl_keyfile": garbage}, "ssl_keyfile", "holds no private key"),
        ({"ssl_certfile": garbage}, "ssl_certfile", "holds no certificate"),
        ({"ssl_certfile": broken}, "ssl_certfile", "cannot be used"),
        ({"ssl_keyfile": (localhost().key, other.key)}, "ssl_keyfile", "once for each ssl-certfile"),
        ({"ssl_keyfile": ()}, "ssl_keyfile", "holds a certificate without its private key; give the key's file"),
        ({"ssl_ciphers": "NONE-SUCH"}, "ssl_ciphers", "NONE-SUCH"),
        ({"ssl_cert_reqs": "required"}, "ssl_cert_reqs", "needs ssl-ca-certs"),
        ({"ssl_ca_certs": missing[0]}, "ssl_ca_certs", "No such file"),
        ({"ssl_ca_certs": garbage[0]}, "ssl_ca_certs", "holds no certificates"),
        ({"ssl_certfile": ()}, "ssl_keyfile", "without ssl-certfile"),
        ({"ssl_certfile": (), "ssl_keyfile": (), "ssl_cert_reqs": "required"}, "ssl_cert_reqs", "without ssl-certfile"),
    ]
    for changes, setting, said in cases:
        found = problem(replace(USABLE, **changes))  # type: ignore[arg-type]  # the table names them
        assert found is not None, changes
        assert found[0] == setting, found
        assert said in found[1], found


def test_an_encrypted_key_needs_its_password_and_never_asks_for_it(encrypted: str) -> None:
    locked = replace(USABLE, ssl_keyfile=(encrypted,))
    assert problem(locked) == ("ssl_keyfile_password", f"must be given: {encrypted} is encrypted")
    wrong = problem(replace(locked, ssl_keyfile_password="open"))
    assert wrong == ("ssl_keyfile_password", f"is not the one: {encrypted} is encrypted")
    assert problem(replace(locked, ssl_keyfile_password="sesame")) is None


def test_a_certificate_that_has_expired_still_serves(tmp_path: Path) -> None:
    """Whether to trust it is the clients' affair; refusing it would turn a warning of theirs into an outage."""
    past = datetime.now(UTC) - timedelta(days=1)
    own = Authority(tmp_path)
    expired, other = own.pair("localhost", not_after=past), own.pair("other.example", not_after=past)
    assert problem(ServerSettings(ssl_certfile=(expired.both, other.both))) is None


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become somebody else")
def test_a_key_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "private.key"
    key.write_bytes(Path(localhost().key).read_bytes())
    key.chmod(0)
    os.seteuid(65534)
    try:
        found = problem(replace(USABLE, ssl_certfile=(localhost().both,), ssl_keyfile=(str(key),)))
    finally:
        os.seteuid(0)
    assert found is not None
    assert "Permission denied" in found[1]


# What is served


@pytest.mark.parametrize("loop", LOOPS)
def test_a_request_is_served_and_the_application_is_told_of_tls(loop: str) -> None:
    app = Teller()

    async def scenario() -> None:
        async with serving(app, **served_with()) as served:
            client = await served.connect(authority().client())
            for _ in range(2):
                assert (await client.get()).body == b"secret"
            assert client.writer.get_extra_info("ssl_object").version() == "TLSv1.3"

    run(scenario(), loop=loop)
    first, second = app.scopes
    assert first["scheme"] == "https"
    told = app.extension
    assert str(told["server_cert"]).startswith("-----BEGIN CERTIFICATE-----\n")
    assert Path(localhost().certificate).read_text().startswith(str(told["server_cert"]))
    assert (told["client_cert_chain"], told["client_cert_name"], told["client_cert_error"]) == ([], None, None)
    assert told["tls_version"] == 0x0304
    assert told["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    extensions = [cast("dict[str, object]", scope["extensions"]) for scope in (first, second)]
    assert extensions[0]["tls"] is not extensions[1]["tls"]


@pytest.mark.parametrize("loop", LOOPS)
def test_plain_text_is_never_spoken_on_a_tls_port(loop: str) -> None:
    app = Teller()

    async def scenario() -> None:
        async with serving(app, **served_with()) as served:
            client = await served.connect()
            client.send(GET)
            assert b"HTTP" not in await client.rest()
            await until(lambda: served.heard.all("tls.handshake_failed"))

    run(scenario(), loop=loop)
    assert app.scopes == []


async def is_let_in(served: Served, context: ssl.SSLContext) -> bool:
    """Whether a request is answered; TLS 1.3 tells a client of a refusal only after its handshake."""
    try:
        client = await served.connect(context)
        return (await client.get()).status == 200
    except (OSError, asyncio.IncompleteReadError):
        return False


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("requests", "without"), [("required", False), ("optional", True)])
def test_only_a_client_with_a_good_certificate_is_let_in(
    requests: str, without: bool, loop: str, tmp_path: Path
) -> None:
    app = Teller()
    stranger = Authority(tmp_path)
    past = datetime.now(UTC) - timedelta(days=1)
    good = authority().pair("client.example", common_name="A, client", organization_name="Org")

    async def scenario() -> None:
        own = authority().certificate
        async with serving(app, **served_with(ssl_cert_reqs=requests, ssl_ca_certs=own)) as served:
            assert await is_let_in(served, authority().client(good))
            told = app.extension
            assert str(told["client_cert_name"]).startswith("CN=A\\, client,")
            chain = cast("list[str]", told["client_cert_chain"])
            assert chain[0].strip() in Path(good.certificate).read_text()
            assert not await is_let_in(served, authority().client(stranger.pair("client.example")))
            assert not await is_let_in(served, authority().client(authority().pair("late.example", not_after=past)))
            assert await is_let_in(served, authority().client()) is without

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_each_name_gets_its_certificate(loop: str) -> None:
    shop, wild = authority().pair("shop.example", "www.shop.example"), authority().pair("*.wild.example")
    files = tuple(pair.both for pair in (localhost(), shop, wild))

    async def scenario() -> None:
        async with serving(Teller(), ssl_certfile=files) as served:
            for name in ("localhost", "shop.example", "WWW.shop.example", "a.wild.example"):
                client = await served.connect(authority().client(), name)
                assert (await client.get()).status == 200
            for name in ("wild.example", "a.b.wild.example", "nobody.example"):
                with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
                    await served.connect(authority().client(), name)

    run(scenario(), loop=loop)


def of_tls_1_2(cipher: str) -> ssl.SSLContext:
    """A client that verifies only certificates with one kind of key, which a cipher of TLS 1.2 names."""
    client = authority().client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(cipher)
    return client


@pytest.mark.parametrize("rsa_first", [True, False])
def test_both_certificates_of_a_name_are_served_and_each_only_for_its_own_names(rsa_first: bool) -> None:
    """A name that the ECDSA certificate has alone is not served with the RSA one, nor the other way round."""
    ecdsa, rsa = authority().pair("localhost", "new.example"), authority().pair("localhost", "old.example", rsa=True)
    files = (rsa.both, ecdsa.both) if rsa_first else (ecdsa.both, rsa.both)
    agreed = {
        ("localhost", "ECDHE-ECDSA-AES128-GCM-SHA256"): True,
        ("localhost", "ECDHE-RSA-AES128-GCM-SHA256"): True,
        ("localhost", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"): True,
        ("new.example", "ECDHE-ECDSA-AES128-GCM-SHA256"): True,
        ("new.example", "ECDHE-RSA-AES128-GCM-SHA256"): False,
        ("old.example", "ECDHE-RSA-AES128-GCM-SHA256"): True,
        ("old.example", "ECDHE-ECDSA-AES128-GCM-SHA256"): False,
    }

    async def scenario() -> None:
        async with serving(Teller(), ssl_certfile=files) as served:
            for (name, cipher), is_served in agreed.items():
                if is_served:
                    client = await served.connect(of_tls_1_2(cipher), name)
                    used = client.writer.get_extra_info("cipher")[0]
                    assert used in cipher.split(":")
                    assert ":" not in cipher or "ECDSA" in used, "the cheaper one for who can verify both"
                    assert (await client.get()).status == 200
                else:
                    with pytest.raises((ssl.SSLError, ConnectionError)):
                        await served.connect(of_tls_1_2(cipher), name)

    run(scenario())


def test_an_old_version_and_a_foreign_cipher_are_refused() -> None:
    old, foreign = authority().client(), authority().client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    foreign.maximum_version = ssl.TLSVersion.TLSv1_2
    foreign.set_ciphers("ECDHE+CHACHA20")

    async def scenario() -> None:
        async with serving(Teller(), **served_with(ssl_min_version="1.3")) as served:
            assert not await is_let_in(served, old)
            assert await is_let_in(served, authority().client())
        async with serving(Teller(), **served_with(ssl_ciphers="ECDHE+AESGCM")) as served:
            assert await is_let_in(served, old)
            assert not await is_let_in(served, foreign)

    run(scenario())


def test_http_1_1_is_what_is_agreed_on() -> None:
    context = authority().client()
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def scenario() -> None:
        async with serving(Teller(), **served_with()) as served:
            client = await served.connect(context)
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"

    run(scenario())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_handshake_that_does_not_go_on_is_given_up_at_the_header_timeout(loop: str) -> None:
    async def scenario() -> None:
        async with serving(Teller(), **served_with(header_timeout=0.2)) as served:
            client = await served.connect()
            client.send(b"\x16\x03\x01\x02\x00\x01")  # a record of 512 bytes begins, with a ClientHello
            assert await client.rest() == b""
            await until(lambda: served.heard.all("tls.handshake_failed"))

    run(scenario(), loop=loop)


# How it ends


@pytest.mark.parametrize("loop", LOOPS)
def test_a_drain_ends_connections_whose_clients_say_nothing(loop: str) -> None:
    async def scenario() -> None:
        async with serving(Teller(), **served_with(drain_spread=0.1)) as served:
            client = await served.connect(authority().client())
            assert (await client.get()).status == 200
            # A blocking client's idle connection: nobody reads it, so that nobody answers a close_notify
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a reading transport, too
            began = served.server.loop.time()
            assert await served.server.drain(DEADLINE_S, final=False)
            assert served.server.loop.time() - began < DEADLINE_S / 2
            client.writer.transport.abort()

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_client_gets_all_of_a_response_that_ends_the_connection(loop: str) -> None:
    size = 30_000_000  # more than the kernel takes

    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        headers = [(b"connection", b"close"), (b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def scenario() -> None:
        async with serving(app, **served_with()) as served:
            client = await served.connect(authority().client())
            client.send(GET)
            await client.reader.readuntil(b"\r\n\r\n")
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a reading transport, too
            lingered = served.server.loop.create_future()
            served.server.loop.call_later(1.5, lingered.set_result, None)  # longer than a close waits for an answer
            await lingered
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            assert len(await client.rest()) == size

    run(scenario(), loop=loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_websocket_over_tls_is_served_and_drained(loop: str) -> None:
    scopes: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    async def scenario() -> None:
        async with serving(app, **served_with(drain_spread=0.1)) as served:
            client: Client = await served.connect(authority().client())
            client.send(handshake())
            assert (await client.response()).status == 101
            client.send(frame(TEXT, b"hi"))
            assert await next_frame(client) == (TEXT, b"hi")
            drain = asyncio.create_task(served.server.drain(DEADLINE_S, final=False))
            assert await next_close(client) == (1012, "service restart")
            client.send(close_frame(1012))
            assert await client.rest() == b""
            assert await drain

    run(scenario(), loop=loop)
    assert scopes[0]["scheme"] == "wss"
    assert set(cast("dict[str, object]", scopes[0]["extensions"])) == {"tls", "websocket.http.response"}


def test_a_connection_that_is_handed_in_is_plain() -> None:
    """As a probe from inside is: only what comes through a listener speaks TLS."""
    app = Teller()

    async def scenario() -> None:
        async with serving(app, **served_with()) as served:
            ours, theirs = socket.socketpair()
            served.server.adopt(theirs)
            reader, writer = await asyncio.open_connection(sock=ours)
            client = Client(reader, writer)
            served.clients.append(client)
            assert (await client.get()).status == 200

    run(scenario())
    assert app.scopes[0]["scheme"] == "http"


# The hook


HOOK = """
import ssl, sys
seen = []
def same(context):
    seen.append(context)
    context.num_tickets = 0
    return context
def own(context):
    context.load_cert_chain(CERTIFICATE)
    return context
def forgets(context):
    context.num_tickets = 0
def raises(context):
    raise ValueError("no such vault")
def exits(context):
    sys.exit(7)
"""


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of hooks that can be imported."""
    name = f"hooks_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(HOOK.replace("CERTIFICATE", repr(localhost().both)))
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_the_hook_is_given_each_context_that_would_have_been_used(hooks: str) -> None:
    shop = authority().pair("shop.example")
    files = (localhost().both, shop.both)

    async def scenario() -> None:
        async with serving(Teller(), ssl_certfile=files, ssl_context=f"{hooks}:same") as served:
            for name in ("localhost", "shop.example"):
                client = await served.connect(authority().client(), name)
                assert (await client.get()).status == 200
                assert not client.writer.get_extra_info("ssl_object").session.has_ticket

    run(scenario())
    seen = importlib.import_module(hooks).seen
    assert len(seen) == 2
    assert all(context.minimum_version == ssl.TLSVersion.TLSv1_2 for context in seen)


def test_the_hook_alone_makes_a_server_of_tls(hooks: str) -> None:
    app = Teller()

    async def scenario() -> None:
        async with serving(app, ssl_context=f"{hooks}:own", ssl_min_version="1.3") as served:
            client = await served.connect(authority().client())
            assert (await client.get()).status == 200
            old = authority().client()
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            assert not await is_let_in(served, old)

    run(scenario())
    assert app.scopes[0]["scheme"] == "https"
    assert app.extension["server_cert"] is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("forgets", "must return an ssl.SSLContext, not NoneType"),
        ("raises", "ValueError: no such vault"),
        ("exits", "SystemExit: 7"),
        ("absent", "has no attribute 'absent'"),
    ],
)
def test_a_hook_of_no_use_is_refused_by_name(hooks: str, name: str, said: str) -> None:
    settings = replace(USABLE, ssl_context=f"{hooks}:{name}")
    with pytest.raises(TlsError, match=rf"(?s)ssl-context: {hooks}:{name} .*{said}"):
        load(settings)
    assert problem(settings) is None, "the master imports no code of others"


def test_a_hook_that_cannot_be_imported_is_refused_by_name() -> None:
    with pytest.raises(TlsError, match=r"(?s)ssl-context: no_such_module:x raised.*No module named 'no_such_module'"):
        load(replace(USABLE, ssl_context="no_such_module:x"))


# Expiry


def test_a_certificate_is_told_of_two_weeks_before_its_end(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    own = Authority(tmp_path)
    pairs = [own.pair("a.example", common_name=f"in {days}", not_after=now + timedelta(days=days)) for days in (13, 15)]
    over = own.pair("b.example", common_name="over", not_after=now - timedelta(days=1.5))
    settings = ServerSettings(ssl_certfile=tuple(pair.both for pair in (*pairs, over)))
    soon, past = ending(settings, now.timestamp())
    assert (soon.setting, soon.path, soon.subject, soon.days) == ("ssl_certfile", pairs[0].both, "in 13", 12)
    assert (soon.event, past.event) == ("tls.certificate_expiring", "tls.certificate_expired")
    assert (past.path, past.days) == (over.both, -2)
    assert past.facts["setting"] == "ssl-certfile"
    assert "over in " in str(past)
    assert "expired 2 days ago" in str(past)


def test_who_signs_for_clients_is_told_of_too() -> None:
    settings = replace(USABLE, ssl_cert_reqs="required", ssl_ca_certs=authority().certificate)
    far = datetime(3100, 1, 1, tzinfo=UTC).timestamp()
    told = ending(settings, far)
    assert [expiry.setting for expiry in told] == ["ssl_certfile", "ssl_ca_certs"], told
    assert all(expiry.days < 0 for expiry in told)
    assert ending(USABLE, datetime.now(UTC).timestamp()) == []
    assert ending(ServerSettings(), far) == []


def test_files_that_went_away_meanwhile_are_nobody_s_expiry() -> None:
    assert ending(ServerSettings(ssl_certfile=("/no/such/file",)), 0.0) == []


# OpenSSL's own client


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_s_client_is_let_in_with_a_right_certificate_only(tmp_path: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    cases = {
        "right": (authority().pair("client.example"), True),
        "expired": (authority().pair("late.example", not_after=past), False),
        "wrong": (Authority(tmp_path).pair("client.example"), False),
        "none": (None, False),
    }

    async def ask(served: Served, pair: Pair | None) -> str:
        shown = ["-cert", pair.certificate, "-key", pair.key] if pair is not None else []
        process = await asyncio.create_subprocess_exec(
            *(
                "openssl",
                "s_client",
                "-connect",
                f"127.0.0.1:{served.address[1]}",
                "-quiet",
                "-servername",
                "localhost",
            ),
            *("-verify_return_error", "-CAfile", authority().certificate, *shown),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(DEADLINE_S):
            out, _ = await process.communicate(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return out.decode("utf-8", "replace")

    async def scenario() -> None:
        own = authority().certificate
        async with serving(Teller(), **served_with(ssl_cert_reqs="required", ssl_ca_certs=own)) as served:
            for name, (pair, is_right) in cases.items():
                said = await ask(served, pair)
                assert ("secret" in said) is is_right, (name, said)
            await until(lambda: len(served.heard.all("tls.handshake_failed")) == 3)

    run(scenario())


def test_ciphers_without_authentication_are_not_offered_unless_asked_for() -> None:
    def kinds(**changes: object) -> set[object]:
        tls = load(replace(USABLE, **changes))  # type: ignore[arg-type]  # the test names them
        assert tls is not None
        return {cipher["aead"] for cipher in tls.context.get_ciphers()}

    assert kinds() == {True}
    assert kinds(ssl_ciphers="ECDHE+AES") == {True, False}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_never_begins_its_handshake_is_let_go_at_the_header_deadline(loop: str) -> None:
    async def scenario() -> None:
        async with serving(Teller(), **served_with(header_timeout=0.1)) as served:
            silent = await served.connect()
            assert await silent.rest() == b""
            await until(lambda: served.heard.all("tls.handshake_failed"))
            (failed,) = served.heard.all("tls.handshake_failed")
            assert failed["error"] == "the TLS handshake took too long"
            assert (await (await served.connect(authority().client())).get()).status == 200

    run(scenario(), loop=loop)


def engines() -> int:
    """How many ends of TLS connections there are in this process."""
    return sum(isinstance(thing, ssl.SSLObject) for thing in gc.get_objects())


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_of_tls_is_made_for_a_client_before_it_says_something(loop: str) -> None:
    async def scenario() -> None:
        async with serving(Teller(), **served_with()) as served:
            gc.collect()
            before = engines()
            silent, gone = await served.connect(), await served.connect()
            await until(lambda: len(served.server.listeners.adopting) == 2)
            gone.close()
            await until(lambda: len(served.server.listeners.adopting) == 1)
            assert engines() == before
            silent.send(b"\x16")
            await until(lambda: engines() == before + 1)

    run(scenario(), loop=loop)


class HalfCloser:
    """A client of TLS that can say goodbye and go on reading, which asyncio's and ssl's own cannot."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = authority().client().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def shake(self) -> None:
        while True:
            try:
                self._ssl.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._client.send(self._outgoing.read())
                self._incoming.write(await self._client.reader.read(65536))

    def ask_and_say_goodbye(self, *, with_fin: bool) -> None:
        self._ssl.write(GET)
        try:
            self._ssl.unwrap()
        except ssl.SSLWantReadError:  # the server's goodbye is still to come
            pass
        self._client.send(self._outgoing.read())
        if with_fin:
            self._client.writer.write_eof()

    async def rest(self) -> bytes:
        """What is sent before the server's goodbye."""
        self._incoming.write(await self._client.rest())
        self._incoming.write_eof()
        text = b""
        try:
            while part := self._ssl.read():
                text += part
        except ssl.SSLError:
            pass
        return text


@pytest.mark.parametrize("with_fin", [False, True], ids=["close_notify", "close_notify and FIN"])
@pytest.mark.parametrize("loop", LOOPS)
def test_half_of_a_tls_connection_is_not_kept(loop: str, with_fin: bool) -> None:
    """What contrib/docs/ASGI.md says of a client that says goodbye and waits for its answer."""
    told: list[object] = []
    gate = asyncio.Event()

    async def app(_scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        told.append((await receive())["type"])
        await gate.wait()
        await reply(send, b"too late")  # is dropped

    async def scenario() -> None:
        async with serving(app, **served_with()) as served:
            client = HalfCloser(await served.connect())
            await client.shake()
            client.ask_and_say_goodbye(with_fin=with_fin)
            assert await client.rest() == b"", "the connection ends both ways"
            await until(lambda: told)
            await until(lambda: not served.server.connections)
            gate.set()
            await until(lambda: not served.server.background)
            assert not served.heard.all("request.failed")

    run(scenario(), loop=loop)
    assert told == ["http.disconnect"]


@pytest.mark.parametrize("loop", LOOPS)
def test_who_is_waited_for_when_the_server_gives_up_is_closed(loop: str) -> None:
    async def scenario() -> None:
        async with serving(Teller(), **served_with()) as served:
            silent = await served.connect()
            await until(lambda: served.server.listeners.adopting)
            served.server.abort()
            assert await silent.rest() == b""

    run(scenario(), loop=loop)
