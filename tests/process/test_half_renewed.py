"""A worker that crashes while the pair on the disk is half renewed is replaced, and serves its generation's pair."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.helpers.certificates import Pair, authority
from tests.helpers.daemon import DEADLINE_S, Daemon, environment, running
from tests.helpers.neighbour import NEIGHBOUR, needs_a_second_user, python_for, shared_directory

APP: Final = """
import json, os, subprocess
def copies(listed):
    return sum("memfd:ssl_" in line for line in listed)
def mine():
    there = lambda number: os.path.lexists(f"/proc/self/fd/{number}")
    return copies(os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if there(number))
def of_a_child():
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, str(mine()).encode())
        os._exit(0)
    os.wait()
    os.close(writing)
    with open(reading) as told:
        return int(told.read())
def of_a_program():
    listing = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True)
    return copies(listing.stdout.splitlines())
AT_IMPORT = {"worker": mine(), "child": of_a_child(), "program": of_a_program()}
async def app(scope, receive, send):
    if scope["type"] == "http":
        told = {"pid": os.getpid(), "at_import": AT_IMPORT, "now": mine()}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""
"""Tells how many copies of files of TLS are open in it, in a process that it forks and in a program that it starts."""

FILES: Final = ("--ssl-certfile", "server.crt", "--ssl-keyfile", "server.key", "--ssl-ca-certs", "clients.pem")
FLAGS: Final = (*FILES, "--ssl-cert-reqs", "optional", "--workers", "2")


def put(directory: Path, pair: Pair) -> None:
    shutil.copy(pair.certificate, directory / "server.crt")
    shutil.copy(pair.key, directory / "server.key")
    shutil.copy(authority().certificate, directory / "clients.pem")


def certificate_alone(directory: Path, renewed: Pair) -> None:
    shutil.copy(renewed.certificate, directory / "server.crt")


def cut_off(directory: Path, renewed: Pair) -> None:
    (directory / "server.key").write_text(Path(renewed.key).read_text()[:60])


def gone(directory: Path, _: Pair) -> None:
    for name in ("server.crt", "server.key", "clients.pem"):
        (directory / name).unlink(missing_ok=True)


HALVES: Final[Mapping[str, Callable[[Path, Pair], None]]] = {
    "the certificate is new and the key is old": certificate_alone,
    "the key is cut off": cut_off,
    "all files are missing": gone,
}


def asked(daemon: Daemon) -> tuple[bytes, Mapping[str, object]]:
    """The certificate that a new connection is shown, and what the application answers."""
    with (
        socket.create_connection(daemon.address(), timeout=DEADLINE_S) as sock,
        authority().client().wrap_socket(sock, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = b""
        while data := secured.recv(65536):
            answer += data
        shown = secured.getpeercert(binary_form=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    assert shown is not None
    told: object = json.loads(body.partition(b"{")[1] + body.partition(b"{")[2].rpartition(b"}")[0] + b"}")
    assert isinstance(told, dict)
    return shown, told


def crash_all(daemon: Daemon) -> None:
    """Whatever answers afterwards is a replacement."""
    for slot, pid in daemon.pids().items():
        with daemon.listening() as heard:
            os.kill(pid, signal.SIGKILL)
            heard.expect("worker.ready", slot=slot)


@pytest.mark.parametrize("how", [(), ("--no-template",), ("--preload",)], ids=["template", "spawned", "preload"])
def test_a_crashed_worker_is_replaced_with_the_pair_of_its_generation(tmp_path: Path, how: tuple[str, ...]) -> None:
    (tmp_path / "app.py").write_text(APP)
    put(tmp_path, authority().pair("localhost"))
    renewed = authority().pair("localhost")
    with running(*FLAGS, *how, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        before, told = asked(daemon)
        of_the_zygote = 3 if "--preload" in how else 0
        assert told["at_import"] == {"worker": of_the_zygote, "child": 0, "program": 0}
        assert told["now"] == 0
        for what, half in HALVES.items():
            half(tmp_path, renewed)
            crash_all(daemon)
            assert asked(daemon)[0] == before, what
            if how:
                return  # the rest is the same however a worker comes to be
        refused = daemon.ctl("reload")
        assert refused.returncode == 1
        assert f"ssl-certfile: cannot read {tmp_path}/server.crt: No such file" in refused.stderr
        put(tmp_path, renewed)
        crash_all(daemon)
        assert asked(daemon)[0] == before, "only a reload renews"
        done = daemon.ctl("reload")
        assert done.returncode == 0, done.stderr
        after, told = asked(daemon)
        assert after != before
        assert told["now"] == 0
        assert not daemon.heard.named("worker.boot_failed")


def copies_of(pid: int) -> list[os.stat_result]:
    entries = Path(f"/proc/{pid}/fd").iterdir()
    return [entry.stat() for entry in entries if "memfd:ssl_" in os.readlink(entry)]


@needs_a_second_user
def test_the_workers_user_need_not_be_able_to_read_the_files_and_alone_can_read_the_copies() -> None:
    python = python_for()
    if python is None:
        pytest.skip("no interpreter of this version that another user can execute")
    with shared_directory() as directory:
        (directory / "app.py").write_text(APP)
        put(directory, authority().pair("localhost"))
        for name in ("server.crt", "server.key", "clients.pem"):
            (directory / name).chmod(0o600)
        flags = (*FLAGS, "--user", str(NEIGHBOUR), "--group", str(NEIGHBOUR))
        interpreter, found_by = python
        with running(*flags, "--preload", directory=directory, python=interpreter, env=found_by) as daemon:
            daemon.heard.expect("worker.ready", times=2)
            (zygote,) = daemon.heard.expect("zygote.preloaded")
            crash_all(daemon)
            assert asked(daemon)[1]["now"] == 0
            copies = copies_of(int(str(zygote["pid"])))
            assert [(copy.st_uid, copy.st_mode & 0o777) for copy in copies] == [(NEIGHBOUR, 0o400)] * 3
        checked = subprocess.run(
            [interpreter, "-m", "supervisor_d", "check", "app:app", *flags],
            cwd=directory,
            env=environment(found_by),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr
