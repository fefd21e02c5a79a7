"""What proxies tell, by real ones: nginx, its stream module, HAProxy, curl. What clients forge does not get through."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.helpers.certificates import authority, localhost
from tests.helpers.daemon import DEADLINE_S, Daemon, running
from tests.helpers.fronts import Launch, Maker, fronted

APP = """
import json
async def app(scope, receive, send):
    if scope["type"] == "http":
        told = {name: scope[name] for name in ("client", "server", "scheme")}
        told["id"] = scope["state"]["request_id"]
        told["headers"] = {name.decode(): value.decode() for name, value in scope["headers"]}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""

FORGED = (
    b"GET / HTTP/1.1\r\nHost: shop.example:8443\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\n"
    b"X_Forwarded_For: 6.6.6.7\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil.example\r\n"
    b'Forwarded: for=6.6.6.8;proto=https;host="evil.example"\r\nX-Request-ID: forged\r\n\r\n'
)

Told = Mapping[str, object]


def ask(port: int, *, tls: bool = False) -> tuple[Told, tuple[str, int], str]:
    """One request through a front end: what the application saw, the client's own address, the head of the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as sock:
        own = sock.getsockname()
        if tls:
            sock = authority().client().wrap_socket(sock, server_hostname="localhost")
        with sock:
            sock.sendall(FORGED)
            answer = b""
            while data := sock.recv(65536):
                answer += data
    head, _, body = answer.decode().partition("\r\n\r\n")
    return json.loads(body[body.index("{") : body.rindex("}") + 1]), own, head.lower()


def nginx_with(directives: str, *, underscores: bool = True) -> Maker:
    """nginx with these directives where it passes requests on."""

    def make(program: str, place: Path, upstream: str, listener: socket.socket) -> Launch:
        directory = "".join(f"{kind}_temp_path {place}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        text = f"""
            daemon off; pid {place}/nginx.pid; error_log {place}/front.log warn; events {{}}
            http {{
                access_log off; client_body_temp_path {place}/body; {directory}
                underscores_in_headers {"on" if underscores else "off"};
                server {{
                    listen 127.0.0.1:{listener.getsockname()[1]};
                    location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; {directives} }}
                }}
            }}"""
        return launched(program, place, text, listener)

    return make


def nginx_stream(program: str, place: Path, upstream: str, listener: socket.socket) -> Launch:
    """nginx that passes bytes on, behind a PROXY header of version 1."""
    found = [Path(there, "ngx_stream_module.so") for there in ("/usr/lib/nginx/modules", "/usr/share/nginx/modules")]
    module = next((path for path in found if path.exists()), None)
    if module is None:
        pytest.skip("nginx has no stream module")
    text = f"""
        load_module {module}; daemon off; pid {place}/nginx.pid; error_log {place}/front.log warn; events {{}}
        stream {{
            server {{
                listen 127.0.0.1:{listener.getsockname()[1]};
                proxy_pass {upstream}; proxy_protocol on;
            }}
        }}"""
    return launched(program, place, text, listener)


def launched(program: str, place: Path, text: str, listener: socket.socket) -> Launch:
    user = "user root;" if os.geteuid() == 0 else ""
    (place / "nginx.conf").write_text(text.replace("daemon off;", f"daemon off; {user}"))
    command = [program, "-p", str(place), "-e", f"{place}/front.log", "-c", str(place / "nginx.conf")]
    return Launch(
        command,
        {"NGINX": f"{listener.fileno()};"},
        [listener.fileno()],
        ("using inherited sockets",),
        signal.SIGQUIT,
    )


def haproxy_tcp(how: str) -> Maker:
    """HAProxy that passes bytes on, behind a PROXY header; its checks say LOCAL."""

    def make(program: str, place: Path, upstream: str, listener: socket.socket) -> Launch:
        address = upstream.replace("unix:", "unix@")
        (place / "haproxy.cfg").write_text(
            f"""
global
    log stderr local0
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen front
    bind fd@{listener.fileno()}
    server app {address} {how} check check-send-proxy inter 200ms
"""
        )
        return Launch([program, "-db", "-q", "-f", str(place / "haproxy.cfg")], pass_fds=[listener.fileno()])

    return make


def serving(place: Path, *flags: str, bind: str = "127.0.0.1:0"):  # type: ignore[no-untyped-def]  # running()'s own
    (place / "app.py").write_text(APP)
    return running("--workers", "1", "--request-id", "X-Request-ID", *flags, directory=place, bind=bind)


def upstream_of(daemon: Daemon) -> str:
    """Where it listens, once it serves."""
    daemon.heard.expect("worker.ready")
    host, port = daemon.address()
    return f"{host}:{port}"


PASSES = "proxy_set_header Host $http_host; proxy_set_header X-Request-ID $request_id;"
FAMILIES = {
    "x-forwarded": (
        "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;"
        "proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port 8444;",
        "shop.example:8444",
    ),
    "forwarded": (
        "forwarded",
        'proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=$scheme;host=\\"$http_host\\"";',
        "shop.example:8443",
    ),
    "default": (
        "x-forwarded-for,x-forwarded-proto",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;",
        "shop.example:8443",
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_nginx_is_believed_over_a_unix_socket_and_the_client_behind_it_is_not(tmp_path: Path, family: str) -> None:
    names, directives, host = FAMILIES[family]
    upstream = f"unix:{tmp_path}/app.sock"
    flags = ("--forwarded-allow-ips", "unix", "--forwarded-headers", names, "--health-path", "/")
    with serving(tmp_path, *flags, bind=upstream) as daemon:
        daemon.heard.expect("worker.ready")
        with fronted("nginx", tmp_path, upstream, nginx_with(PASSES + directives)) as front:
            told, _, head = ask(front.port)
    assert told["client"] == ["127.0.0.1", 0]
    assert told["scheme"] == "http"
    headers = told["headers"]
    assert isinstance(headers, dict)
    assert headers["host"] == host
    assert "x_forwarded_for" not in headers
    if family != "default":
        assert told["server"] == ["shop.example", int(host.rpartition(":")[2])]
    assert told["id"] == headers["x-request-id"] != "forged"
    assert f"x-request-id: {told['id']}" in head
    assert front.complaints() == []


HEADERS: Mapping[str, tuple[str, Callable[[], Maker]]] = {
    "version 1 by HAProxy": ("haproxy", lambda: haproxy_tcp("send-proxy")),
    "version 2 by HAProxy": ("haproxy", lambda: haproxy_tcp("send-proxy-v2")),
    "version 1 by nginx": ("nginx", lambda: nginx_stream),
}


@pytest.mark.parametrize("how", HEADERS)
def test_a_proxy_header_tells_the_clients_address_and_port(tmp_path: Path, how: str) -> None:
    name, make = HEADERS[how]
    with (
        serving(tmp_path, "--proxy-protocol", "--forwarded-allow-ips", "10.0.0.1") as daemon,
        fronted(name, tmp_path, upstream_of(daemon), make()) as front,
    ):
        told, own, _ = ask(front.port)
        assert told["client"] == list(own), "and nothing of what it says of itself"
        assert told["server"] == ["127.0.0.1", front.port]
        assert not daemon.heard.named("proxy.refused")


def test_tls_is_spoken_behind_the_header_with_the_client_itself(tmp_path: Path) -> None:
    pair = localhost()
    flags = (
        "--ssl-certfile",
        pair.certificate,
        "--ssl-keyfile",
        pair.key,
        "--proxy-protocol",
        "--proxy-allow-ips",
        "*",
    )
    with (
        serving(tmp_path, *flags, "--forwarded-allow-ips", "10.0.0.1") as daemon,
        fronted("haproxy", tmp_path, upstream_of(daemon), haproxy_tcp("send-proxy-v2")) as front,
    ):
        told, own, _ = ask(front.port, tls=True)
        assert told["client"] == list(own)
        assert told["scheme"] == "https"


def test_curl_is_served_with_its_header_and_turned_away_without(tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    with serving(tmp_path, "--proxy-protocol") as daemon:
        url = f"http://{upstream_of(daemon)}/"
        codes = [
            subprocess.run([curl, "-sS", "-m", str(DEADLINE_S), *flags, url], capture_output=True, check=False)
            for flags in (["--haproxy-protocol"], [])
        ]
        assert json.loads(codes[0].stdout)["client"][0] == "127.0.0.1"
        assert codes[1].returncode != 0
        (refused,) = daemon.heard.expect("proxy.refused")
        assert refused["reason"] == "no PROXY header"
