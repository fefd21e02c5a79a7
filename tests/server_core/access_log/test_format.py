"""Log formats: what each atom tells, that no client can forge a line, and that unknown atoms are refused by name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from server_core.access_log.atoms import LETTERS, NAMED, WORDS
from server_core.access_log.escaping import REMEMBERED, TEXT_LIMIT, Harmless, escaped, quoted
from server_core.access_log.format import JSON_KEYS, check, read
from server_core.access_log.formats import FORMATS
from server_core.access_log.record import UNREAD, Place, Unread
from server_core.http.message import RequestLine
from server_core.http1.request_line import RequestLines
from server_core.http1.response_head import ResponseHeadCache
from server_core.http1.writer import NotingWriter

PLACE = Place(3, 2, 4711)
TIME = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"


def line(text: bytes) -> RequestLine:
    return RequestLines("", lambda _: True).get(text)


@dataclass
class Ended:
    """What stands for an exchange."""

    line: RequestLine = field(default_factory=lambda: line(b"GET /caf%C3%A9?a=1&b=2 HTTP/1.1"))
    scope: dict[str, object] = field(default_factory=dict)
    status: int = 200
    sent_bytes: int = 512
    close_code: int | None = None


def scope(*fields: tuple[bytes, object], **others: object) -> dict[str, object]:
    return {
        "type": "http",
        "client": ("192.0.2.7", 50123),
        "server": ("192.0.2.1", 8443),
        "headers": [(b"host", b"example.org:8443"), *fields],
        **others,
    }


FULL = Ended(
    scope=scope(
        (b"referer", b"http://a.example/"),
        (b"user-agent", b"curl/8.5"),
        (b"authorization", b"Basic YWxpY2U6c2VjcmV0"),
        (b"x-twice", b"first"),
        (b"x-twice", b"last"),
        state={"request_id": "abc-1"},
    )
)


def written(form: str, ended: Ended | Unread = FULL, *, cut: bool = False, duration_s: float = 1.234567) -> str:
    writer = NotingWriter(ResponseHeadCache([]))
    writer.start(200, [(b"X-Served-By", b"me"), (b"content-type", b"text/plain")])
    text = read(form).writer(PLACE)(ended, duration_s, cut, writer, None)
    assert text.endswith("\n")
    return text[:-1]


@pytest.mark.parametrize(
    ("atom", "expected"),
    [
        ("%(h)s", "192.0.2.7"),
        ("%(l)s", "-"),
        ("%(u)s", "alice"),
        ("%(t)s", TIME),
        ("%(r)s", r"GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1"),
        ("%(m)s", "GET"),
        ("%(U)s", "/caf%C3%A9"),
        ("%(q)s", "a=1&b=2"),
        ("%(H)s", r"HTTP/1\.1"),
        ("%(s)s", "200"),
        ("%(B)s", "512"),
        ("%(b)s", "512"),
        ("%(f)s", "http://a.example/"),
        ("%(a)s", r"curl/8\.5"),
        ("%(T)s", "1"),
        ("%(M)s", "1234"),
        ("%(D)s", "1234567"),
        ("%(L)s", r"1\.234567"),
        ("%(p)s", "<4711>"),
        ("%({X-Twice}i)s", "last"),
        ("%({X-Missing}i)s", "-"),
        ("%({x-served-by}o)s", "me"),
        ("%({ACCESS_TEST}e)s", r"100% \\\"true\\\""),
        ("%({ACCESS_MISSING}e)s", "-"),
        ("%(client_addr)s", "192.0.2.7:50123"),
        ("%(request_line)s", r"GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1"),
        ("%(full_path)s", r"/caf%C3%A9\?a=1&b=2"),
        ("%(http_version)s", r"1\.1"),
        ("%(status_code)s", "200 OK"),
        ("%(timestamp)s", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
        ("%(local_time)s", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"),
        ("%(slot)s", "3"),
        ("%(generation)s", "2"),
        ("%(pid)s", "4711"),
        ("%(type)s", "http"),
        ("%(client)s", "192.0.2.7"),
        ("%(method)s", "GET"),
        ("%(target)s", r"/caf%C3%A9\?a=1&b=2"),
        ("%(protocol)s", r"HTTP/1\.1"),
        ("%(status)s", "200"),
        ("%(bytes)s", "512"),
        ("%(duration_s)s", r"1\.234567"),
        ("%(duration_ms)s", r"1234\.567"),
        ("%(complete)s", "true"),
        ("%(request_id)s", "abc-1"),
        ("%(referer)s", "http://a.example/"),
        ("%(user_agent)s", r"curl/8\.5"),
        ("%(close_code)s", "-"),
        ("%a", "192.0.2.7"),
        ("%A", "192.0.2.1"),
        ("%b", "512"),
        ("%B", "512"),
        ("%D", "1234567"),
        ("%h", "192.0.2.7"),
        ("%H", r"HTTP/1\.1"),
        ("%l", "-"),
        ("%L", "abc-1"),
        ("%m", "GET"),
        ("%p", "8443"),
        ("%P", "4711"),
        ("%q", r"\?a=1&b=2"),
        ("%r", r"GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1"),
        ("%s", "200"),
        ("%>s", "200"),
        ("%<s", "200"),
        ("%t", TIME),
        ("%T", "1"),
        ("%u", "alice"),
        ("%U", "/caf%C3%A9"),
        ("%v", r"example\.org"),
        ("%V", r"example\.org"),
        ("%X", r"\+"),
        ("%{Referer}i", "http://a.example/"),
        ("%{Content-Type}o", "text/plain"),
        ("%{ACCESS_TEST}e", r"100% \\\"true\\\""),
        ("%{remote}p", "50123"),
        ("%{local}p", "8443"),
        ("%{canonical}p", "8443"),
        ("%{pid}P", "4711"),
        ("%{s}T", "1"),
        ("%{ms}T", "1234"),
        ("%{us}T", "1234567"),
        ("%{sec}t", r"\d{10}"),
        ("%{msec}t", r"\d{13}"),
        ("%{end:usec}t", r"\d{16}"),
        ("%{begin:msec_frac}t", r"\d{3}"),
        ("%{usec_frac}t", r"\d{6}"),
        ("%{%Y-%m-%d at %H:%M}t", r"\d{4}-\d\d-\d\d at \d\d:\d\d"),
        ("%%", "%"),
        ("%(s)6s|", "   200\\|"),
        ("%(r)-50s|", r"GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1 +\|"),
        ("%(D)d", "1234567"),
        ("a {b} \"c\" 'd' \\n \t %s", re.escape("a {b} \"c\" 'd' \\n \t 200")),
        ("caf\u00e9 %s", "caf\u00e9 200"),
    ],
)
def test_each_atom_tells_what_it_says(atom: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESS_TEST", '100% "true"')
    assert re.fullmatch(expected, written(atom))


def test_every_atom_is_in_the_test_above_and_on_the_page() -> None:
    marks = test_each_atom_tells_what_it_says.pytestmark  # type: ignore[attr-defined]  # pytest puts it there
    tested = {case[0] for case in marks[0].args[1]}
    page = Path(__file__).parents[3].joinpath("contrib/docs/ACCESS_LOG.md").read_text()
    atoms = [f"%({name})s" for name in NAMED] + [f"%{letter}" for letter in LETTERS]
    atoms += [f"%{{{word}}}{letter}" for letter, words in WORDS.items() for word in words]
    assert [atom for atom in atoms if atom not in tested or f"`{atom}`" not in page] == []
    assert [name for name in FORMATS if f"`{name}`" not in page] == []


@pytest.mark.parametrize("form", FORMATS)
def test_each_named_format_is_one_line(form: str) -> None:
    patterns = {
        "common": rf'192\.0\.2\.7 - alice {TIME} "GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1" 200 512',
        "uvicorn": r'INFO:     192\.0\.2\.7:50123 - "GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1" 200 OK',
        "console": r'\S+ 192\.0\.2\.7 "GET /caf%C3%A9\?a=1&b=2 HTTP/1\.1" 200 512 B 1234\.567 ms',
    }
    combined = patterns["common"] + r' "http://a\.example/" "curl/8\.5"'
    assert re.fullmatch(patterns.get(form, combined), written(form))


def test_a_line_of_json_has_every_key_and_its_types() -> None:
    told = json.loads(written("json"))
    assert tuple(told) == ("event", "level", *JSON_KEYS)
    del told["timestamp"]
    assert told == {
        "event": "request.ended",
        "level": "info",
        "slot": 3,
        "generation": 2,
        "pid": 4711,
        "type": "http",
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/caf%C3%A9?a=1&b=2",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 512,
        "duration_s": 1.234567,
        "complete": True,
        "close_code": None,
        "request_id": "abc-1",
        "referer": "http://a.example/",
        "user_agent": "curl/8.5",
    }


@pytest.mark.parametrize("form", [*FORMATS, "json", "%v %L %A %p %{remote}p %q %{X}o %({x}i)s %t"])
def test_a_request_that_was_never_read_has_a_line_too(form: str) -> None:
    bare = {"type": "http", "client": None, "server": None, "headers": ()}
    text = written(form, Unread(bare, 400, 12))
    assert "400" in text or "%v" in form
    if form == "json":
        told = json.loads(text)
        assert (told["client"], told["target"], told["status"]) == (None, "-", 400)
    assert "\n" not in text


HOSTILE = b'x" 200 5 "\r\nforged \x1b[2J \\ \xff \x7f\t'


def test_what_a_client_sends_can_neither_end_a_line_nor_its_quotes() -> None:
    names = ("referer", "user-agent", "x-any", "host")
    ended = Ended(
        line=line(b'GET /"\\?" HTTP/1.1'),
        scope=scope(
            *((name.encode(), HOSTILE) for name in names),
            client=("10.0.0.1\n", 5),
            state={"request_id": 'id"\n'},
        ),
    )
    text = written('%(h)s "%(r)s" "%(f)s" "%(a)s" "%({x-any}i)s" "%L" "%q" "%(target)s"', ended)
    value = r"x\" 200 5 \"\r\nforged \x1b[2J \\ \xff \x7f\t"
    assert text == (rf'10.0.0.1\n "GET /\"\\?\" HTTP/1.1" "{value}" "{value}" "{value}" "id\"\n" "?\"" "/\"\\?\""')
    told = json.loads(written("json", ended))
    assert told["user_agent"].encode("latin-1") == HOSTILE
    assert told["request_id"] == 'id"\n'
    assert written("json", ended).isascii()


def test_a_long_text_is_cut_and_few_are_remembered() -> None:
    assert len(escaped(b"a" * 100_000)) == TEXT_LIMIT
    assert len(quoted("a" * 100_000)) == TEXT_LIMIT + 2
    memory = Harmless(escaped)
    for number in range(3 * REMEMBERED):
        assert memory[f"/{number}"] == f"/{number}"
    assert memory["b" * 1000] == "b" * 1000
    assert len(memory) <= REMEMBERED
    assert "b" * 1000 not in memory


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"headers": None, "client": "nobody", "server": 5, "state": []},
        {"headers": [(b"referer", ["list"]), "x", (1, 2, 3)], "client": [None, 5], "state": {"request_id": []}},
        {"headers": 5, "client": (["10.0.0.1"], 1), "server": (None, None)},
        {"headers": [("referer", "text")], "client": ["10.0.0.9", 7]},
    ],
)
def test_whatever_an_application_puts_into_its_scope_there_is_a_line(broken: dict[str, object]) -> None:
    for form in (*FORMATS, "json", "%v %L %A %p %{remote}p %(client_addr)s %(u)s %(type)s"):
        assert written(form, Ended(scope=broken))


def test_an_error_of_our_own_is_not_mistaken_for_the_application_s() -> None:
    unknown = Ended(line=RequestLine("GET", "9", "/", {}, {}), scope=scope())
    with pytest.raises(KeyError, match="9"):
        written("%H", unknown)


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 304), (b"DELETE", 204)])
def test_a_body_that_does_not_go_out_is_not_counted(method: bytes, status: int) -> None:
    ended = Ended(line=line(method + b" / HTTP/1.1"), scope=scope(), status=status, sent_bytes=10)
    assert written("%B %b", ended) == "0 -"


def test_a_request_that_was_cut_says_so() -> None:
    never = Ended(scope=scope(), status=0, sent_bytes=0)
    assert written("%X %s %(complete)s", never, cut=True) == "X 499 false"
    assert json.loads(written("json", never, cut=True))["complete"] is False


def test_a_place_is_told_where_an_atom_asks_for_it_and_nowhere_else() -> None:
    line = written("{slot} %(slot)s {%(pid)s} {{pid}} %(generation)s", Ended(scope=scope()))
    assert line == "{slot} 3 {4711} {{pid}} 2", line


def test_only_what_is_asked_for_is_looked_at() -> None:
    source = read("%h %m").source()
    assert "fields" not in source
    assert "time()" not in source
    assert not read("combined").reads_sent
    assert read("%{X}o").reads_sent


@pytest.mark.parametrize("value", [b"Basic", b"Basic !", b"Bearer YWxpY2U6", b"Basic OnNlY3JldA==", None])
def test_what_is_no_user_is_a_dash(value: bytes | None) -> None:
    fields = [] if value is None else [(b"authorization", value)]
    assert written("%u", Ended(scope=scope(*fields))) == "-"


def test_a_host_is_told_without_its_port() -> None:
    for given, told in ((b"[::1]:80", "[::1]"), (b"a.example", "a.example"), (b"", "")):
        assert written("%v", Ended(scope={**scope(), "headers": [(b"host", given)]})) == told
    assert written("%v", Ended(line=line(b"GET http://b.example:1/ HTTP/1.1"), scope=scope())) == "b.example"


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ("%(x)s", "unknown atom %(x)s"),
        ("%(h)s %Z", "unknown atom %Z"),
        ("%(h", "unknown atom at '%(h'"),
        ("100%", "unknown atom at '%'"),
        ("%f", "unknown atom %f"),
        ("%{c}a", "unknown atom %{c}a"),
        ("%{}i", "unknown atom %{}i"),
        ("%{no space}i", "unknown atom %{no space}i"),
        ("%{a'b\"c}o", "unknown atom"),
        ("%({x}q)s", "unknown atom %({x}q)s"),
        ("%({}i)s", "unknown atom %({}i)s"),
        ("%400{Referer}i", "unknown atom at '%400"),
        ("%{%Y\\}t", "unknown atom"),
        ("%(h)x", "unknown atom at '%(h)x'"),
        ("%h\n%s", "must be one line without control characters"),
        ("jsn", "did you mean json?"),
        ("apache", "must be auto, json, common, combined, gunicorn, uvicorn, console or a format"),
    ],
)
def test_what_is_no_format_is_refused_by_name(form: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        check(form)


@pytest.mark.parametrize("name", [f"x{sign}y" for sign in "!#$%&'*+-.^_`|~"])
def test_any_name_a_field_can_have_can_be_asked_for(name: str) -> None:
    ended = Ended(scope=scope((name.encode(), b"v")))
    assert written(f"%{{{name}}}i %({{{name}}}i)s", ended) == "v v"


def test_the_unread_request_line_is_not_one_that_a_client_can_send() -> None:
    assert line(b"- / HTTP/1.1") != UNREAD
