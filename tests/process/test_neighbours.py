"""Other users of the machine: none of them can keep the daemon from starting, or pass for it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from supervisor_d.cli.ctl import ctl
from supervisor_d.control.client import discovery
from supervisor_d.errors import ControlSocketError
from supervisor_d.host.sockets.control_listener import open_control_listener
from supervisor_d.host.unix_sockets import unix_path
from tests.helpers.daemon import DEADLINE_S, PID_APP, environment, running
from tests.helpers.neighbour import NEIGHBOUR, needs_a_second_user, neighbour, shared_directory

pytestmark = needs_a_second_user

LOCK = "for path in sys.argv[1:]: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)"

SQUAT = """
held = socket.socket(socket.AF_UNIX)
held.bind(chr(0) + sys.argv[1][1:])
if sys.argv[2] == "listening":
    held.listen()
"""

IMPOSTOR = """
held = socket.socket(socket.AF_UNIX)
held.bind(chr(0) + sys.argv[1][1:])
held.listen()
def answer():
    while True:
        connection, _ = held.accept()
        if connection.recv(65536):
            body = b'{"outcome": "committed", "generation": 2, "duration_s": 0.1, "status": 200}\\n'
            head = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/x-ndjson\\r\\nContent-Length: %d\\r\\n\\r\\n"
            connection.sendall(head % len(body) + body)
        connection.close()
threading.Thread(target=answer, daemon=True).start()
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that every user may look into, as /run/supervisor-d is."""
    with shared_directory() as made:
        yield made


def run_ctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor_d", "ctl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, env=environment(), check=False)


def unused_name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


def test_a_lock_of_theirs_on_our_directories_keeps_nobody_from_starting(shared: Path) -> None:
    (shared / "app.py").write_text(PID_APP)
    place = str(shared / "c.sock")
    flags = ("--control-socket", place)
    with (
        neighbour(LOCK, str(shared)),
        running(*flags, directory=shared, bind=f"unix:{shared}/http.sock") as daemon,
    ):
        daemon.heard.expect("worker.ready")
        daemon.control = place
        assert daemon.status()["state"] == "serving"


def test_a_lock_file_of_theirs_in_a_directory_for_all_keeps_root_from_nothing(shared: Path) -> None:
    (shared / "tmp").mkdir()
    (shared / "tmp").chmod(0o1777)
    script = "fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o666); fcntl.flock(fd, fcntl.LOCK_EX)"
    with neighbour(script, str(shared / "tmp" / ".supervisor-d.0.lock")):
        open_control_listener((str(shared / "tmp" / "c.sock"),)).close()
    assert list((shared / "tmp").iterdir()) == []


@pytest.mark.parametrize("how", ["listening", "bound"])
def test_a_squatted_name_of_the_usual_kind_is_done_without(how: str) -> None:
    name = unused_name()
    address = f"@supervisor-d/0/{name}"
    with neighbour(SQUAT, address, how) as squatter:
        listener = open_control_listener(("/nowhere/at/all.sock", address))
        assert listener.address.startswith(f"{address}~")
        assert listener.squatter == f"{address} is taken by pid {squatter.pid} of uid {NEIGHBOUR}"
        found = discovery.find("", {}, name=name)
        listener.close()
    assert (found.address, found.peer is not None and found.peer.uid) == (listener.address, 0)
    assert len(found.passed_over) == (how == "listening")


def test_a_squatted_name_that_was_asked_for_is_told_as_that(tmp_path: Path) -> None:
    address = f"@{unused_name()}"
    with neighbour(SQUAT, address, "listening") as squatter:
        with running("--control-socket", address, directory=tmp_path) as daemon:
            assert daemon.wait() == 2
        told = f"{address} is squatted: pid {squatter.pid} of uid {NEIGHBOUR} has taken it"
        assert told in daemon.transcript()
        assert "give a --control-socket PATH" in daemon.transcript()


def test_ctl_does_not_believe_an_impostor() -> None:
    name = unused_name()
    with neighbour(IMPOSTOR, f"@supervisor-d/0/{name}") as impostor:
        for which in (("--socket", f"@supervisor-d/0/{name}"), ("--socket", name), ("--name", name)):
            asked = run_ctl(*which, "reload")
            assert asked.returncode == 1, asked
            assert asked.stdout == ""
            assert f"answered by pid {impostor.pid} of uid {NEIGHBOUR}, not by user root (uid 0)" in asked.stderr
        believed = run_ctl("--expect-user", str(NEIGHBOUR), "--name", name, "reload")
        assert believed.returncode == 0, believed
    assert "no user called" in run_ctl("--expect-user", "nobody-of-this-name", "status").stderr


def test_a_link_put_in_the_socket_s_place_while_it_is_made_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)

    class Raced(socket.socket):
        """Somebody exchanges the file as soon as it has its name."""

        def bind(self, address: object) -> None:
            super().bind(str(address))
            os.unlink(str(address))
            os.symlink(precious, str(address))

    for mode in (0o660, 0o666):
        with Raced(socket.AF_UNIX) as listener, pytest.raises(PermissionError, match="another user exchanged"):
            unix_path.bind(listener, str(tmp_path / "c.sock"), mode, 1)
        (tmp_path / "c.sock").unlink()
    assert stat.S_IMODE(precious.stat().st_mode) == 0o600


def test_a_directory_exchanged_while_the_socket_is_made_loses_nothing(tmp_path: Path) -> None:
    """The path leads elsewhere once the socket is bound: nothing that has its name there is removed."""
    for name in ("real", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "way").symlink_to("real")
    (tmp_path / "other" / "c.sock").write_text("precious")

    class Raced(socket.socket):
        def bind(self, address: object) -> None:
            super().bind(str(address))
            os.unlink(tmp_path / "way")
            os.symlink("other", tmp_path / "way")

    with Raced(socket.AF_UNIX) as listener:
        place = unix_path.bind(listener, str(tmp_path / "way" / "c.sock"), 0o660, 1)
        place.give_up()
    assert (tmp_path / "other" / "c.sock").read_text() == "precious"


def test_a_dead_socket_of_theirs_that_we_may_not_remove_is_named(shared: Path) -> None:
    (shared / "tmp").mkdir()
    (shared / "tmp").chmod(0o1777)
    place = str(shared / "tmp" / "c.sock")
    leave = "os.umask(int(sys.argv[2], 8)); held = socket.socket(socket.AF_UNIX); held.bind(sys.argv[1]); held.close()"
    for umask, told in (
        ("000", f"a dead socket of uid {NEIGHBOUR} is there"),
        ("077", f"a socket of uid {NEIGHBOUR} is"),
    ):
        (shared / "tmp" / "c.sock").unlink(missing_ok=True)
        with neighbour(leave, place, umask):
            before = os.geteuid()
            os.seteuid(NEIGHBOUR + 1)
            try:
                with pytest.raises(ControlSocketError, match=told):
                    open_control_listener((place,))
            finally:
                os.seteuid(before)
    open_control_listener((place,)).close()
    assert list((shared / "tmp").iterdir()) == [], "root may replace it"


def test_what_changes_the_only_daemon_names_it_first(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shared / "app.py").write_text(PID_APP)
    place = str(shared / "c.sock")
    with running("--control-socket", place, "--name", "api", directory=shared) as daemon:
        daemon.heard.expect("worker.ready")
        monkeypatch.setattr(discovery, "found", lambda _: [place])
        monkeypatch.delenv(discovery.VARIABLE, raising=False)
        looked = CliRunner().invoke(ctl, ["status"])
        assert looked.exit_code == 0
        scaled = CliRunner().invoke(ctl, ["scale", "2"])
        assert scaled.exit_code == 0, scaled.output
        assert f"supervisor-d: api, pid {daemon.pid}, with app:app\n" in scaled.output
        named = CliRunner().invoke(ctl, ["--socket", place, "scale", "2"])
        assert "with app:app" not in named.output


def test_what_changes_another_user_s_daemon_must_name_it(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = (["stop"], ["scale", "2"], ["restart", "1"], ["reload"], ["reload", "--no-wait"], ["dump", "1"])
    (shared / "app.py").write_text(PID_APP)
    place = str(shared / "c.sock")
    with running("--control-socket", place, "--name", "api", directory=shared) as daemon:
        daemon.heard.expect("worker.ready")
        monkeypatch.setattr(discovery, "found", lambda _: [place])
        monkeypatch.delenv(discovery.VARIABLE, raising=False)
        monkeypatch.setattr(os, "geteuid", lambda: NEIGHBOUR)  # who asks; the daemon is root's
        for command in commands:
            refused = CliRunner().invoke(ctl, command)
            assert refused.exit_code != 0
            assert f"api, pid {daemon.pid}, with app:app, of user root (uid 0) and not yours" in str(refused.exception)
            assert "--name api" in str(refused.exception)


def test_a_directory_in_which_every_user_could_replace_the_socket_is_refused_by_name(shared: Path) -> None:
    (shared / "open").mkdir()
    (shared / "open").chmod(0o777)
    (shared / "app.py").write_text(PID_APP)
    with running("--control-socket", f"{shared}/open/c.sock", directory=shared) as daemon:
        assert daemon.wait() == 2
        assert f"every user may write {shared}/open, and replace the socket" in daemon.transcript()
    with running(directory=shared, bind=f"unix:{shared}/open/http.sock") as daemon:
        (told,) = daemon.heard.expect("socket.exposed")
        assert told["reason"] == f"every user may write {shared}/open, and replace what is in it"
        daemon.heard.expect("worker.ready")
    with pytest.raises(ControlSocketError, match="every user may write"):
        open_control_listener((f"{shared}/open/c.sock",))
