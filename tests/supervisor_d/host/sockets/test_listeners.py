"""Listeners are bound or inherited, or refused in one clear line; at the end only our own socket files go."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from server_core.exit_codes import EXIT_LISTENER
from supervisor_d.errors import ListenerError
from supervisor_d.host.sockets import listener
from supervisor_d.host.sockets import listeners as sockets
from supervisor_d.host.sockets.listener import Binding
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.settings.values.address import parse_address
from tests.helpers.logs import Remembered


class Opened:
    """Listeners that the test opens, and their log."""

    def __init__(self) -> None:
        self.log = Remembered()
        self.listeners = Listeners(self.log)

    def open(
        self, *texts: str, environ: Mapping[str, str] | None = None, mode: int = 0o660, is_default: bool = False
    ) -> list[str]:
        binding = Binding([parse_address(text) for text in texts], "flag --bind", 16, mode, is_default)
        self.listeners.open(binding, environ or {})
        return [spec.address for spec in self.listeners.specs]

    def refused(self, *texts: str, environ: Mapping[str, str] | None = None) -> str:
        with pytest.raises(ListenerError) as raised:
            self.open(*texts, environ=environ)
        assert raised.value.exit_code == EXIT_LISTENER
        assert self.listeners.specs == (), "nothing stays open"
        return str(raised.value)


@pytest.fixture
def opened() -> Iterator[Opened]:
    made = Opened()
    yield made
    made.listeners.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "BUSY_FOR_S", 0.05)


def connects(family: socket.AddressFamily, address: object) -> bool:
    with socket.socket(family) as client:
        client.settimeout(20)
        return client.connect_ex(address) == 0  # type: ignore[arg-type]  # of whatever family


def test_port_zero_is_told_as_the_real_port(opened: Opened) -> None:
    (address,) = opened.open("127.0.0.1:0")
    host, _, port = address.partition(":")
    assert int(port) > 0
    assert connects(socket.AF_INET, (host, int(port)))
    assert opened.log.named("socket.bound") == [{"address": address, "fd": opened.listeners.specs[0].fd}]


def test_listeners_are_non_blocking_closed_on_exec_and_above_the_standard_streams(opened: Opened) -> None:
    opened.open("127.0.0.1:0")
    fd = opened.listeners.specs[0].fd
    assert fd > 2
    assert not os.get_inheritable(fd)
    assert not os.get_blocking(fd)


def test_a_backlog_above_what_the_kernel_keeps_is_said_once(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somaxconn").write_text("15\n")
    monkeypatch.setattr(sockets.somaxconn, "__defaults__", (tmp_path / "somaxconn",))
    opened.open("127.0.0.1:0", f"unix:{tmp_path}/a.sock")
    assert opened.log.named("socket.backlog_capped") == [{"backlog": 16, "somaxconn": 15}]
    (tmp_path / "somaxconn").write_text("16\n")
    again = Opened()
    again.open("127.0.0.1:0")
    again.listeners.close()
    assert again.log.named("socket.backlog_capped") == []
    assert sockets.somaxconn(tmp_path / "none") is None


LINK_LOCAL = """
import socket
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.host.sockets.listener import Binding
from supervisor_d.settings.values.address import parse_address
listeners = Listeners(lambda event, **facts: None)
binding = Binding([parse_address("[fe80::1%lo]:0")], "flag --bind", 16, 0o660)
listeners.open(binding, {})
address = next(iter(listeners)).address
assert address.startswith("[fe80::1%lo]:"), address
port = int(address.rpartition(":")[2])
with socket.create_connection(("fe80::1%lo", port), timeout=20): pass
renewed = listeners.renew(next(iter(listeners)))
with socket.create_connection(("fe80::1%lo", port), timeout=20): pass
print("served at", address)
"""


def test_a_link_local_address_is_bound_with_its_interface() -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec"]
    network = "ip link set lo up; ip -6 addr add fe80::1/64 dev lo nodad"
    probe = subprocess.run([*unshare, network], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no link-local address can be had here: {probe.stderr.strip()}")
    script = f'{network}; exec "$0" -c "$1"'
    done = subprocess.run([*unshare, script, sys.executable, LINK_LOCAL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("served at [fe80::1%lo]:")


def test_several_addresses_of_all_kinds_at_once(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    name = f"@supervisor-d-test-{os.getpid()}"
    addresses = opened.open("127.0.0.1:0", "[::1]:0", f"unix:{path}", f"unix:{name}")
    assert addresses[2:] == [f"unix:{path}", f"unix:{name}"]
    assert connects(socket.AF_INET6, ("::1", int(addresses[1].rpartition(":")[2])))
    assert connects(socket.AF_UNIX, str(path))
    assert connects(socket.AF_UNIX, "\0" + name[1:])


def test_an_ipv6_wildcard_leaves_ipv4_to_others(opened: Opened) -> None:
    (first,) = opened.open("[::]:0")
    other = Opened()
    port = first.rpartition(":")[2]
    assert other.open(f":{port}") == [f"0.0.0.0:{port}"]
    other.listeners.close()


def test_a_name_is_bound_at_every_address_it_has_with_one_port(opened: Opened) -> None:
    try:
        socket.getaddrinfo("localhost", None)
    except OSError as error:  # a root without /etc/hosts, which debootstrap does not write
        pytest.skip(f"localhost has no address here: {error}")
    addresses = opened.open("localhost:0")
    assert len({address.rpartition(":")[2] for address in addresses}) == 1
    assert any(address.startswith("127.0.0.1:") for address in addresses)


def test_a_busy_address_is_refused_in_one_line(opened: Opened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert opened.refused("127.0.0.1:0", f"127.0.0.1:{port}") == (
            f"127.0.0.1:{port}: already in use; stop what listens there, or choose another (bind, from flag --bind)"
        )


def test_an_address_that_is_given_up_meanwhile_is_taken(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "BUSY_FOR_S", 20.0)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import socket, sys; s = socket.create_server(('127.0.0.1', 0));"
         "print(s.getsockname()[1], flush=True); sys.stdin.read(1)"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        port = int(holder.stdout.readline())
        holder.stdin.write(b"x")
        holder.stdin.flush()
        assert opened.open(f"127.0.0.1:{port}") == [f"127.0.0.1:{port}"]


def test_an_address_that_is_not_ours_and_a_name_that_is_none_are_refused(opened: Opened) -> None:
    wrong = "cannot assign requested address: no interface here has it; choose one of this machine, or 0.0.0.0 or [::]"
    assert opened.refused("192.0.2.1:80") == f"192.0.2.1:80: {wrong} (bind, from flag --bind)"
    assert "no-such-host.invalid:80: " in opened.refused("no-such-host.invalid:80")


LOW_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@pytest.mark.skipif(not LOW_PORT.exists() or int(LOW_PORT.read_text()) < 2, reason="every user may bind any port")
@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may; needs setpriv")
def test_a_low_port_is_refused_with_what_it_needs() -> None:
    lacking = ["setpriv", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    command = [*lacking, sys.executable, "-m", "supervisor_d", "run", "app:app", "--bind", "127.0.0.1:1"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 4
    needed = f"permission denied; ports below {int(LOW_PORT.read_text())} need root or CAP_NET_BIND_SERVICE"
    assert f"127.0.0.1:1: {needed}, or choose another (bind, from flag --bind)" in refused.stderr


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
def test_a_socket_file_has_exactly_its_mode_whatever_the_umask(opened: Opened, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "http.sock"
    before = os.umask(0o077)
    try:
        opened.open(f"unix:{path}", mode=mode)
        assert os.umask(0o077) == 0o077, "the umask is as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_dead_socket_file_is_replaced_and_removed_at_the_end(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    opened.open(f"unix:{path}")
    assert connects(socket.AF_UNIX, str(path))
    assert opened.listeners.end() == (f"unix:{path}",)
    assert not path.exists()
    assert opened.listeners.end() == ()


def test_a_living_socket_file_is_never_taken(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen(0)
        living.setblocking(False)
        with socket.socket(socket.AF_UNIX) as filling:
            filling.connect(str(path))  # the accept queue is full now, and the server as alive as before
            told = opened.refused(f"unix:{path}")
            assert told.startswith(f"unix:{path}: already in use by pid {os.getpid()} of user "), told
        assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    path.write_text("precious")
    assert "a file that is not a socket is there" in opened.refused(f"unix:{path}")
    assert path.read_text() == "precious"


def test_a_directory_that_is_not_there_is_named(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "http.sock"
    wrong = f"the directory {path.parent} does not exist; make it, or choose another path"
    assert opened.refused(f"unix:{path}") == f"unix:{path}: {wrong} (bind, from flag --bind)"
    path.parent.write_text("")
    assert f"the directory {path.parent} is a file, or below one; remove that" in opened.refused(f"unix:{path}")


def test_a_socket_file_that_became_somebody_elses_is_not_removed(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    opened.open(f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        successor.listen()
        opened.listeners.close()
        assert connects(socket.AF_UNIX, str(path))


def test_what_was_bound_before_a_refusal_is_given_up(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    opened.refused(f"unix:{path}", "192.0.2.1:80")
    assert not path.exists()


def test_a_listener_can_be_inherited_by_number(opened: Opened) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    host, port = given.getsockname()
    fd = given.detach()
    assert opened.open(f"fd://{fd}") == [f"{host}:{port}"]
    assert opened.listeners.specs[0].fd == fd
    assert not os.get_inheritable(fd)
    assert not os.get_blocking(fd)


def test_a_listener_on_a_standard_stream_moves_and_leaves_dev_null(tmp_path: Path) -> None:
    program = """
import os
from supervisor_d.host.sockets.listeners import inherit
listener = inherit(0, "fd://0", "test")
print(listener.socket.fileno() > 2, os.readlink("/proc/self/fd/0"), os.get_inheritable(0), listener.address)
"""
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(path))
        given.listen()
        shown = subprocess.run([sys.executable, "-c", program], stdin=given, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["True", "/dev/null", "True", f"unix:{path}"]


def inheritable(kind: str) -> int:
    """A descriptor that is no listener."""
    if kind == "file":
        return os.memfd_create("file")
    if kind == "datagram":
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
    if kind == "unconnected":
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach()
    if kind == "packets":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind("")
        sock.listen()
        return sock.detach()
    fd = os.memfd_create("closed")
    os.close(fd)
    return fd


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("file", "is not a socket"),
        ("datagram", "is not a stream socket (SOCK_DGRAM)"),
        ("packets", "is not a stream socket (SOCK_SEQPACKET)"),
        ("unconnected", "is a socket, but not a listening one"),
        ("closed", "is not open"),
    ],
)
def test_a_descriptor_that_is_no_listener_is_refused_by_number_and_left_open(
    opened: Opened, kind: str, says: str
) -> None:
    fd = inheritable(kind)
    assert opened.refused(f"fd://{fd}").startswith(f"fd://{fd}: {says}")
    if kind != "closed":
        os.close(fd)


ACTIVATED = """
import os, sys, json
from supervisor_d.host.sockets.listener import Binding
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.settings.values.address import parse_address
log = []
listeners = Listeners(lambda event, **fields: log.append([event, fields]))
pid, count, names, default, *binds = sys.argv[1:]
environ = {"LISTEN_PID": pid.replace("me", str(os.getpid())), "LISTEN_FDS": count}
if names: environ["LISTEN_FDNAMES"] = names
try:
    binding = Binding([parse_address(text) for text in binds], "flag --bind", 16, 0o660, default == "default")
    listeners.open(binding, environ)
    print(json.dumps([log, [[spec.fd, spec.address] for spec in listeners.specs]]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def activated(listeners: Sequence[socket.socket], *arguments: str) -> list[object]:
    """What becomes of these sockets when they are handed in from descriptor 3 on, as systemd does."""
    import json

    place = "".join(f"os.dup2({sock.fileno()}, {100 + index});" for index, sock in enumerate(listeners))
    place += "".join(f"os.dup2({100 + index}, {3 + index});" for index in range(len(listeners)))
    launcher = f"import os, sys; {place} os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", launcher, sys.executable, "-c", ACTIVATED, *arguments]
    fds = [sock.fileno() for sock in listeners]
    shown = subprocess.run(command, pass_fds=fds, capture_output=True, text=True, check=True)
    found: object = json.loads(shown.stdout)
    assert isinstance(found, list)
    return found


def test_socket_activation_takes_the_sockets_given_and_binds_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        log, specs = activated([one, other], "me", "2", "http:admin", "default", "127.0.0.1:8000")
        names = ["{}:{}".format(*sock.getsockname()) for sock in (one, other)]
    assert specs == [[3, names[0]], [4, names[1]]]
    assert log == [
        ["socket.inherited", {"address": names[0], "fd": 3, "source": "LISTEN_FDS http"}],
        ["socket.inherited", {"address": names[1], "fd": 4, "source": "LISTEN_FDS admin"}],
    ]


def test_an_explicit_bind_beside_socket_activation_is_told_and_not_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        log, specs = activated([one], "me", "1", "", "explicit", "127.0.0.1:0", "fd://3")
    assert isinstance(log, list)
    assert isinstance(specs, list)
    assert [spec[0] for spec in specs] == [3]
    assert log[-1][0] == "socket.unused"
    assert log[-1][1]["addresses"] == ["127.0.0.1:0"]


def test_a_bind_that_was_passed_in_is_neither_bound_nor_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        bind = "{}:{}".format(*one.getsockname())
        log, _ = activated([one], "me", "1", "", "explicit", bind)
    assert isinstance(log, list)
    assert [event for event, _ in log] == ["socket.inherited"]


def test_activation_that_is_meant_for_another_process_is_not_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        log, _ = activated([one], "1", "1", "", "default", "127.0.0.1:0")
    assert isinstance(log, list)
    assert [event for event, _ in log] == ["socket.bound"]


@pytest.mark.parametrize(
    ("count", "says"),
    [("two", "LISTEN_FDS: must be a whole number, not 'two' (environment)"), ("2", "fd://4: is not ")],
)
def test_activation_that_is_wrong_is_refused_by_name(count: str, says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        kind, message = activated([one], "me", count, "", "default")
    assert kind == "ListenerError"
    assert isinstance(message, str)
    assert message.startswith(says)


def test_newcomers_are_turned_away_from_our_own_listeners_only(opened: Opened, tmp_path: Path) -> None:
    """An inherited socket outlives us: a filter would stay on it, and nobody could ever connect again."""
    with socket.socket(socket.AF_UNIX) as outer:
        outer.bind(str(tmp_path / "outer"))
        outer.listen()
        opened.open(f"unix:{tmp_path}/own", f"fd://{os.dup(outer.fileno())}")
        opened.listeners.close_accept_queues()
        assert not connects(socket.AF_UNIX, str(tmp_path / "own"))
        assert connects(socket.AF_UNIX, str(tmp_path / "outer"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a TCP listener cannot be shut down")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_listener_whose_worker_hangs_refuses_newcomers_once_nobody_waits_there(opened: Opened, host: str) -> None:
    opened.open(f"{host}:0")
    (spec,) = opened.listeners.specs
    with socket.socket(fileno=os.dup(spec.fd)) as workers, socket.socket(workers.family) as early:
        workers.setblocking(False)
        address = workers.getsockname()
        early.connect(address)
        assert opened.listeners.end(spare_waiting=True) == ()
        connection, _ = workers.accept()
        with connection:
            assert opened.listeners.end(spare_waiting=True) == (spec.address,)
            assert opened.listeners.end(spare_waiting=True) == ()
            assert not connects(workers.family, address)
            with pytest.raises(OSError):
                workers.accept()
            early.sendall(b"x")
            connection.settimeout(20)
            assert connection.recv(1) == b"x", "who is connected stays so"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a Unix listener cannot be shut down")
def test_a_worker_that_hangs_may_still_take_those_that_wait_at_a_unix_socket(opened: Opened, tmp_path: Path) -> None:
    opened.open(f"unix:{tmp_path}/a")
    (spec,) = opened.listeners.specs
    with socket.socket(fileno=os.dup(spec.fd)) as workers, socket.socket(socket.AF_UNIX) as early:
        early.connect(f"{tmp_path}/a")
        early.sendall(b"x")
        with socket.socket(socket.AF_UNIX) as left:
            left.settimeout(20)
            left.connect(f"{tmp_path}/a")
            left.sendall(b"x")
            assert opened.listeners.end(spare_waiting=True) == (spec.address,)
            assert opened.listeners.end(spare_waiting=True) == ()
            assert not (tmp_path / "a").exists()
            connection, _ = workers.accept()
            with connection:
                connection.settimeout(20)
                assert connection.recv(1) == b"x"
            assert opened.listeners.end() == ()
            with pytest.raises(ConnectionResetError):
                left.recv(1)
    (told,) = opened.log.named("listener.abandoned")
    assert (told["address"], told["waiting"]) == (spec.address, 1)


def test_an_inherited_listener_is_not_shut_down(opened: Opened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outer:
        opened.open(f"fd://{os.dup(outer.fileno())}")
        opened.listeners.end(spare_waiting=True)
        assert connects(socket.AF_INET, outer.getsockname())


def test_names_choose_among_the_sockets_that_were_passed_in_the_order_of_bind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        _, specs = activated([one, other], "me", "2", "web:api", "explicit", "fd://api", "fd://web")
        assert specs == [[4, "{}:{}".format(*other.getsockname())], [3, "{}:{}".format(*one.getsockname())]]


def test_one_name_takes_every_socket_that_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        _, specs = activated([one, other], "me", "2", "web:web", "explicit", "fd://web")
    assert isinstance(specs, list)
    assert [fd for fd, _ in specs] == [3, 4]


@pytest.mark.parametrize(
    ("pid", "names", "bind", "says"),
    [
        (
            "me",
            "web:metrics",
            "fd://web",
            "LISTEN_FDS: metrics (fd 4) is named by no bind, and would never be answered; "
            "add --bind fd://NAME or take it out of the .socket unit (bind, from flag --bind)",
        ),
        ("me", "web", "fd://web", "LISTEN_FDS: nameless (fd 4) is named by no bind"),
        (
            "me",
            "web:metrics",
            "fd://api",
            "fd://api: no socket of this name was passed; there is web (fd 3), metrics (fd 4) (bind, from flag --bind)",
        ),
        ("1", "web:metrics", "fd://web", "fd://web: no socket of this name was passed; there is none (LISTEN_FDS is"),
    ],
)
def test_a_name_without_a_socket_and_a_socket_without_a_name_are_refused(
    pid: str, names: str, bind: str, says: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        kind, message = activated([one, other], pid, "2", names, "explicit", bind)
    assert kind == "ListenerError"
    assert isinstance(message, str)
    assert message.startswith(says)


def test_a_number_in_bind_names_a_passed_socket_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        _, specs = activated([one, other], "me", "2", "web:metrics", "explicit", "fd://web", "fd://4")
    assert isinstance(specs, list)
    assert [fd for fd, _ in specs] == [3, 4]
