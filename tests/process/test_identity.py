"""A daemon that root started, whose workers are another user."""

from __future__ import annotations

import ast
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor_d.errors import SpawnError
from supervisor_d.host.processes import spawn
from supervisor_d.settings.values.identity import Identity, identity_of
from tests.helpers.daemon import DEADLINE_S, PID_APP, environment, running
from tests.helpers.neighbour import NEIGHBOUR, needs_a_second_user, neighbour, python_for, shared_directory

GROUP = NEIGHBOUR + 1

APP = """
import os
async def app(scope, receive, send):
    if scope["type"] == "http":
        refused = []
        for what in (lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.kill(MASTER, 0), read_secret):
            try:
                what()
            except PermissionError:
                refused.append(True)
        told = (os.getresuid(), os.getresgid(), sorted(os.getgroups()), len(refused), os.environ["HOME"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr(told).encode()})
def read_secret():
    open("secret").close()
MASTER = 1
IMPORTED_BY = os.geteuid()
if IMPORTED_BY == 0:
    raise SystemExit("imported as root")
"""

EXPECTED = ((NEIGHBOUR,) * 3, (GROUP,) * 3, [GROUP], 4, "/")

pytestmark = needs_a_second_user


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of root's that other users may look into, with an application in it."""
    with shared_directory() as made:
        (made / "app.py").write_text(APP)
        (made / "secret").write_text("")
        (made / "secret").chmod(0o600)
        yield made


def told_at(path: Path) -> object:
    """What the application says of itself, at a Unix socket."""
    connection = http.client.HTTPConnection("app", timeout=DEADLINE_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE_S)
    connection.sock.connect(str(path))
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return ast.literal_eval(connection.getresponse().read().decode())
    finally:
        connection.close()


@pytest.mark.parametrize(
    "how",
    [("--workers", "1"), ("--workers", "2"), ("--workers", "2", "--preload"), ("--workers", "2", "--no-template")],
)
def test_workers_are_the_user_and_the_master_is_not(place: Path, how: tuple[str, ...]) -> None:
    python = python_for()
    if python is None:
        pytest.skip("no interpreter of this version that another user can execute")
    log, sock, control = place / "access.log", place / "http.sock", place / "c.sock"
    flags = ("--user", str(NEIGHBOUR), "--group", str(GROUP), "--access-log", str(log), *how)
    more = ("--control-socket", str(control), "--template" if "--no-template" not in how else "--no-template")
    with running(*flags, *more, directory=place, bind=f"unix:{sock}", python=python[0], env=python[1]) as daemon:
        daemon.control = str(control)
        daemon.heard.expect("worker.ready", times=int(how[1]))
        assert "master.unconfined" not in daemon.heard.names()
        assert told_at(sock) == EXPECTED
        for pid in daemon.pids().values():
            assert spawn.what_is(pid) == (frozenset((NEIGHBOUR,)), frozenset((GROUP,)), frozenset((GROUP,)))
        assert Path(f"/proc/{daemon.pid}").stat().st_uid == 0
        identity = {"user": str(NEIGHBOUR), "uid": NEIGHBOUR, "gid": GROUP, "groups": [GROUP], "master_uid": 0}
        assert daemon.status()["identity"] == identity
        assert f"user       {NEIGHBOUR} (uid {NEIGHBOUR})" in daemon.ctl("status").stdout
        assert (sock.stat().st_uid, sock.stat().st_gid, sock.stat().st_mode & 0o777) == (0, GROUP, 0o660)
        assert (control.stat().st_uid, control.stat().st_gid) == (0, 0)
        assert daemon.ctl("reload").returncode == 0
        assert told_at(sock) == EXPECTED
        assert (log.stat().st_uid, log.stat().st_gid, log.stat().st_mode & 0o777) == (NEIGHBOUR, GROUP, 0o640)
        log.rename(place / "access.log.1")
        with daemon.listening() as heard:
            daemon.signal(signal.SIGUSR1)
            heard.expect("log.reopened")
            assert told_at(sock) == EXPECTED
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "access_log.failed" not in daemon.heard.names()
        assert log.stat().st_uid == NEIGHBOUR
        written = log.read_text() + (place / "access.log.1").read_text()
        assert written.count("GET / HTTP/1.1") == 3
        assert not sock.exists()
        assert not control.exists()


def test_what_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    cases = {
        ("--user", "no-such-user"): "user: there is no user called 'no-such-user' here (flag --user)",
        ("--user", "0", "--group", "no-such-group"): "group: there is no group called 'no-such-group' here",
        ("--group", "0"): "group: is given without user, and workers would stay root",
        ("--user", str(NEIGHBOUR)): f"user: {NEIGHBOUR} is not in the user database, and so has no group; give group",
        ("--user", "4294967295"): "user: must be a name or a number up to 4294967294, not '4294967295'",
    }
    for flags, told in cases.items():
        asked = subprocess.run(
            [sys.executable, "-m", "supervisor_d", "run", "app:app", *flags],
            capture_output=True, text=True, timeout=DEADLINE_S, cwd=tmp_path, env=environment(), check=False,
        )  # fmt: skip
        assert asked.returncode == 2, asked
        assert told in asked.stderr


def test_a_user_that_is_not_root_cannot_have_another() -> None:
    root_reads = "import supervisor_d.settings.values.identity as identity; print(identity.identity_problem('0', '0'))"
    command = f"import os; os.setgid({NEIGHBOUR}); os.setuid({NEIGHBOUR}); {root_reads}"
    preloaded = f"import supervisor_d.settings.values.identity; {command}"
    asked = subprocess.run(
        [sys.executable, "-c", preloaded], capture_output=True, text=True, env=environment(), check=True
    )
    assert "('user', 'only root can start workers as root, uid 0" in asked.stdout


def test_a_user_that_cannot_execute_the_interpreter_is_told_at_the_first_worker(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to(sys.executable)
    flags = ("--user", str(NEIGHBOUR), "--group", str(GROUP))
    python, env = str(closed / "python"), {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with running(*flags, directory=place, python=python, env=env) as daemon:
        (failed,) = daemon.heard.expect("worker.spawn_failed")
        told = f"no worker can be started as uid {NEIGHBOUR}, gid {GROUP}, groups {GROUP}: Permission denied"
        assert told in str(failed["error"])
        assert daemon.wait() != 0


def test_a_daemon_of_root_that_nothing_confines_says_so_once(place: Path) -> None:
    (place / "app.py").write_text(PID_APP)
    with running("--workers", "2", directory=place) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert daemon.heard.names().count("master.unconfined") == int(is_all_root())
        identity = daemon.status()["identity"]
        assert isinstance(identity, dict)
        assert (identity["uid"], identity["master_uid"]) == (0, 0)


def is_all_root() -> bool:
    """Whether the tests themselves run with every capability and no filter: in a container they may not."""
    told = Path("/proc/self/status").read_text()
    fields = dict(line.split(":\t", 1) for line in told.splitlines())
    full = (1 << (int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1)) - 1
    is_outside = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    is_free = fields["Seccomp"] == "0" and fields["NoNewPrivs"] == "0"
    return int(fields["CapEff"], 16) == full and is_free and is_outside


def test_a_worker_that_is_half_of_what_it_is_to_be_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is asked: what starts processes may leave groups out, as subprocess of CPython 3.12.0 does."""
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def forgetful(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        options["extra_groups"] = None
        process = real(*arguments, **options)  # type: ignore[call-overload]  # passed on
        started.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", forgetful)
    wanted = Identity(str(NEIGHBOUR), NEIGHBOUR, GROUP, (GROUP, GROUP + 1), "/")
    with pytest.raises(SpawnError, match=r"was to be .* and was killed"):
        spawn.start(["/bin/sleep", "60"], (), {}, wanted)
    assert started[0].returncode == -signal.SIGKILL


def test_names_are_looked_up_with_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getgrouplist", lambda _, gid: [gid, 7, 3])
    identity = identity_of("nobody", "")
    assert identity is not None
    assert identity.uid == 65534
    assert identity.groups == tuple(sorted({identity.gid, 7, 3}))
    with_group = identity_of("nobody", "root")
    assert with_group is not None
    assert (with_group.gid, with_group.groups) == (0, (0, 3, 7))


def test_the_access_log_of_another_user_is_not_taken_from_it(place: Path) -> None:
    identity = Identity("x", NEIGHBOUR, GROUP, (GROUP,), "/")
    (place / "link").symlink_to("secret")
    (place / "there").write_text("")
    for name in ("link", "there"):
        spawn.hand_over(str(place / name), identity)
    assert (place / "secret").stat().st_uid == 0
    assert (place / "there").stat().st_uid == 0
    with neighbour("open(sys.argv[1], 'w')", "/dev/null"):
        spawn.hand_over(str(place / "new"), identity)
    assert (place / "new").stat().st_uid == NEIGHBOUR
