"""Certificates and the daemon: refused at start, renewed by a reload, kept when the new ones are of no use."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.helpers.certificates import Pair, authority
from tests.helpers.daemon import DEADLINE_S, PID_APP, REPOSITORY, Daemon, running


def put(directory: Path, pair: Pair) -> None:
    shutil.copy(pair.certificate, directory / "server.crt")
    shutil.copy(pair.key, directory / "server.key")


def shown_by(daemon: Daemon) -> bytes:
    """The certificate that a new connection is shown."""
    with (
        socket.create_connection(daemon.address(), timeout=DEADLINE_S) as sock,
        authority().client().wrap_socket(sock, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert secured.recv(65536).startswith(b"HTTP/1.1 200 ")
        shown = secured.getpeercert(binary_form=True)
        assert shown is not None
        return shown


def der(pair: Pair) -> bytes:
    end = "-----END CERTIFICATE-----\n"
    return ssl.PEM_cert_to_DER_cert(Path(pair.certificate).read_text().partition(end)[0] + end)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "app.py").write_text(PID_APP)
    put(tmp_path, authority().pair("localhost"))
    files = ("--ssl-certfile", "server.crt", "--ssl-keyfile", "server.key")
    with running("--workers", "2", *files, directory=tmp_path) as started:
        started.heard.expect("worker.ready", times=2)
        yield started


def test_a_reload_shows_the_new_certificate_and_drops_nobody(daemon: Daemon, tmp_path: Path) -> None:
    renewed = authority().pair("localhost")
    with (
        socket.create_connection(daemon.address(), timeout=DEADLINE_S) as sock,
        authority().client().wrap_socket(sock, server_hostname="localhost") as kept,
    ):
        kept.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert shown_by(daemon) != der(renewed)
        put(tmp_path, renewed)
        kept.sendall(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        asked = daemon.ctl("reload")
        assert asked.returncode == 0, asked.stderr
        assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert shown_by(daemon) == der(renewed)


def test_a_reload_with_a_key_that_does_not_match_keeps_the_old_pair(daemon: Daemon, tmp_path: Path) -> None:
    before = shown_by(daemon)
    shutil.copy(authority().pair("localhost").key, tmp_path / "server.key")
    asked = daemon.ctl("reload")
    assert asked.returncode == 1
    assert "ssl-keyfile" in asked.stderr
    assert shown_by(daemon) == before


def test_a_pair_that_does_not_match_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    put(tmp_path, authority().pair("localhost"))
    shutil.copy(authority().pair("localhost").key, tmp_path / "server.key")
    files = ("--ssl-certfile", "server.crt", "--ssl-keyfile", "server.key")
    with running(*files, directory=tmp_path) as refused:
        assert refused.wait() == 2
        key, certificate = tmp_path / "server.key", tmp_path / "server.crt"
        assert f"ssl-keyfile: {key} is not the key of the certificate in {certificate}" in refused.transcript()


def test_a_certificate_that_ends_soon_is_told_of_at_start_at_a_reload_and_by_check(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    now = datetime.now(UTC)
    put(tmp_path, authority().pair("localhost", not_after=now + timedelta(days=3, hours=1)))
    files = ("--ssl-certfile", "server.crt", "--ssl-keyfile", "server.key")
    with running(*files, directory=tmp_path) as started:
        started.heard.expect(
            "tls.certificate_expiring", setting="ssl-certfile", path=str(tmp_path / "server.crt"), days=3
        )
        started.heard.expect("worker.ready")
        put(tmp_path, authority().pair("localhost", not_after=now - timedelta(days=1)))
        with started.listening() as heard:
            assert started.ctl("reload").returncode == 0
            heard.expect("tls.certificate_expired", setting="ssl-certfile", days=-2)
    checked = subprocess.run(
        [sys.executable, "-m", "supervisor_d", "check", "app:app", *files],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert f"in {tmp_path}/server.crt expired 2 days ago" in checked.stdout


def test_a_hook_that_raises_is_refused_by_name_and_at_a_reload_keeps_the_old_context(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP + "\ndef context(made):\n    return made\n")
    put(tmp_path, authority().pair("localhost"))
    files = ("--ssl-certfile", "server.crt", "--ssl-keyfile", "server.key", "--ssl-context", "app:context")
    with running(*files, directory=tmp_path) as started:
        started.heard.expect("worker.ready")
        before = shown_by(started)
        (tmp_path / "app.py").write_text(PID_APP + "\ndef context(made):\n    raise ValueError('no such vault')\n")
        with started.listening() as heard:
            assert started.ctl("reload").returncode != 0
            (failure,) = heard.expect("worker.boot_failed")
        assert "ssl-context: app:context raised" in str(failure["traceback"])
        assert shown_by(started) == before
    with running(*files, directory=tmp_path) as refused:
        assert refused.wait() == 3
        assert "no such vault" in refused.transcript()
