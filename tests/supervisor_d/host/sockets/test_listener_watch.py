"""A listener that was shut down, or that lost its socket file, is noticed without a look, and listens again."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor_d import clock
from supervisor_d.host.reactor import Reactor
from supervisor_d.host.sockets.listener import Binding
from supervisor_d.host.sockets.listener_watch import RETRY_S, ListenerWatch
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.settings.values.address import parse_address
from supervisor_d.vocabulary import Instant, ListenerLost, ListenerRestored, ReloadRequested, Started
from tests.helpers.facts import DEADLINE_S, Told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it unasked (epoll, inotify)")


class Rig:
    """Listeners, what watches them, and what that told."""

    def __init__(self, address: str, *, may_rebind: bool = True, between: Callable[[], None] = lambda: None) -> None:
        self.reactor = Reactor()
        self.logged: list[tuple[str, dict[str, object]]] = []
        self.watch = ListenerWatch(self.reactor, self.log, may_rebind=may_rebind)
        self.listeners = Listeners(lambda *_, **__: None, self.watch.forget)
        self.listeners.open(Binding([parse_address(address)], "test", 8, 0o660), {})
        between()
        self.watch.open(self.listeners, self.listeners.renew)
        self.told = Told(self.reactor)

    def log(self, event: str, /, **fields: object) -> None:
        self.logged.append((event, fields))

    @property
    def socket(self) -> socket.socket:
        (listener,) = self.listeners
        return listener.socket

    def connects(self) -> None:
        """A client reaches the listener."""
        name = self.socket.getsockname()
        with socket.socket(self.socket.family) as client:
            client.settimeout(DEADLINE_S)
            client.connect(name)
            self.socket.settimeout(DEADLINE_S)
            self.socket.accept()[0].close()

    def close(self) -> None:
        self.listeners.close()
        self.watch.close()
        self.reactor.close()


Rigged = Callable[..., Rig]


@pytest.fixture
def rigged() -> Iterator[Rigged]:
    made: list[Rig] = []

    def make(address: str, *, may_rebind: bool = True, between: Callable[[], None] = lambda: None) -> Rig:
        made.append(Rig(address, may_rebind=may_rebind, between=between))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("port", [0, None], ids=["any port", "a port by its number"])
def test_a_tcp_listener_that_was_shut_down_listens_again_on_the_same_socket(rigged: Rigged, port: int | None) -> None:
    rig = rigged(f"127.0.0.1:{free_port() if port is None else port}")
    held_by_a_worker, name = rig.socket.dup(), rig.socket.getsockname()
    held_by_a_worker.shutdown(socket.SHUT_RDWR)
    lost = rig.told.expect(ListenerLost)
    assert lost.reason == "it was shut down by a process that holds it"
    rig.told.expect(ListenerRestored)
    assert held_by_a_worker.getsockname() == name
    rig.connects()
    assert rig.told.kinds() == ["ListenerLost", "ListenerRestored"]
    held_by_a_worker.close()


def test_it_is_noticed_again_and_again(rigged: Rigged) -> None:
    rig = rigged("127.0.0.1:0")
    for _ in range(5):
        rig.socket.shutdown(socket.SHUT_RDWR)
        rig.told.expect(ListenerRestored)
    rig.connects()


def test_a_unix_listener_that_was_shut_down_is_bound_anew_and_a_reload_hands_it_out(
    rigged: Rigged, tmp_path: Path
) -> None:
    rig = rigged(f"unix:{tmp_path}/app.sock")
    rig.socket.shutdown(socket.SHUT_RDWR)
    rig.told.expect(ListenerLost)
    rig.told.expect(ListenerRestored)
    assert rig.told.expect(ReloadRequested).origin.by == "listener"
    rig.connects()


@pytest.mark.parametrize("moved", [False, True], ids=["removed", "renamed"])
def test_a_socket_file_that_is_gone_is_bound_anew(rigged: Rigged, tmp_path: Path, moved: bool) -> None:
    rig = rigged(f"unix:{tmp_path}/app.sock")
    if moved:
        os.rename(tmp_path / "app.sock", tmp_path / "old.sock")
    else:
        os.unlink(tmp_path / "app.sock")
    assert "its file is gone" in rig.told.expect(ListenerLost).reason
    rig.told.expect(ReloadRequested)
    rig.connects()


@pytest.mark.parametrize("way", ["run/app", "run/current", "run/app/.."], ids=["directory", "symlink", "dots"])
@pytest.mark.parametrize("change", ["its own", "above"])
def test_a_directory_that_is_renamed_takes_its_socket_out_of_reach(
    rigged: Rigged, tmp_path: Path, way: str, change: str
) -> None:
    """The socket's file is as it was, and no client finds it."""
    (tmp_path / "run/app").mkdir(parents=True)
    (tmp_path / "run/current").symlink_to("app")
    rig = rigged(f"unix:{tmp_path}/{way}/app.sock")
    place = tmp_path / ("run" if change == "above" or way.endswith("..") else way)
    place.rename(tmp_path / "elsewhere")
    assert "its file is gone" in rig.told.expect(ListenerLost).reason
    assert "cannot listen again" in rig.told.expect(ListenerLost).reason
    (tmp_path / way).mkdir(parents=True, exist_ok=True)
    rig.told.expect(ListenerRestored)
    rig.connects()


def test_a_symlink_that_leads_elsewhere_takes_the_socket_out_of_reach(rigged: Rigged, tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release / "run").mkdir(parents=True)
    (tmp_path / "current").symlink_to("1")
    rig = rigged(f"unix:{tmp_path}/current/run/app.sock")
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "current")
    rig.told.expect(ListenerLost)
    rig.told.expect(ListenerRestored)
    assert (tmp_path / "2/run/app.sock").is_socket()
    rig.connects()


def test_where_that_is_not_wanted_it_is_only_told(rigged: Rigged, tmp_path: Path) -> None:
    rig = rigged(f"unix:{tmp_path}/app.sock", may_rebind=False)
    os.unlink(tmp_path / "app.sock")
    rig.told.expect(ListenerLost)
    assert not (tmp_path / "app.sock").exists()
    assert rig.told.kinds() == ["ListenerLost"]


def test_a_listener_that_is_not_bound_anew_is_watched_on_and_found_again(rigged: Rigged, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    rig = rigged(f"unix:{path}", may_rebind=False)
    for _ in range(2):
        path.rename(tmp_path / "elsewhere")
        assert "its file is gone" in rig.told.expect(ListenerLost).reason
        (tmp_path / "elsewhere").rename(path)
        rig.told.expect(ListenerRestored)
    rig.connects()
    path.unlink()
    assert "its file is gone" in rig.told.expect(ListenerLost).reason
    rig.socket.shutdown(socket.SHUT_RDWR)
    assert "it was shut down" in rig.told.expect(ListenerLost).reason
    assert rig.told.kinds() == ["ListenerLost", "ListenerRestored"] * 2 + ["ListenerLost"] * 2


def test_a_file_that_went_before_it_was_watched_is_noticed_and_bound_anew(rigged: Rigged, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    rig = rigged(f"unix:{path}", between=path.unlink)
    assert "its file is gone" in rig.told.expect(ListenerLost).reason
    rig.told.expect(ListenerRestored)
    rig.connects()
    path.unlink()  # the new one is watched, too
    rig.told.expect(ListenerLost)


def test_an_abstract_name_is_bound_anew_when_nobody_holds_it_and_until_then_it_is_told_what_to_do(
    rigged: Rigged,
) -> None:
    rig = rigged(f"unix:@supervisor-d-test-{os.getpid()}")
    held_by_a_worker = rig.socket.dup()
    rig.socket.shutdown(socket.SHUT_RDWR)
    assert rig.told.expect(ListenerLost).reason == "it was shut down by a process that holds it"
    assert "if it stays so, stop the daemon, and start it" in rig.told.expect(ListenerLost).reason
    assert rig.listeners.specs == ()
    rig.reactor.at(Instant(clock.now() + 1.5 * RETRY_S), lambda: rig.reactor.tell(Started()))
    rig.told.expect(Started)
    assert rig.told.kinds() == ["ListenerLost", "ListenerLost", "Started"]
    held_by_a_worker.close()
    rig.told.expect(ListenerRestored)
    rig.told.expect(ReloadRequested)
    rig.connects()
    rig.socket.shutdown(socket.SHUT_RDWR)
    rig.told.expect(ListenerRestored)
    rig.connects()


def test_a_change_of_mode_is_no_loss(rigged: Rigged, tmp_path: Path) -> None:
    rig = rigged(f"unix:{tmp_path}/app.sock")
    os.chmod(tmp_path / "app.sock", 0o666)
    os.unlink(tmp_path / "app.sock")
    rig.told.expect(ListenerLost)
    assert rig.told.kinds().count("ListenerLost") == 1


def test_a_place_that_another_living_socket_has_taken_is_left_to_it(rigged: Rigged, tmp_path: Path) -> None:
    rig = rigged(f"unix:{tmp_path}/app.sock")
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path + ".new")
        other.listen()
        os.rename(path + ".new", path)
        assert "another file is in its place" in rig.told.expect(ListenerLost).reason
        assert "cannot listen again" in rig.told.expect(ListenerLost).reason
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            other.accept()[0].close()


def test_what_we_close_ourselves_is_not_told(rigged: Rigged) -> None:
    rig = rigged("127.0.0.1:0")
    held_by_a_worker = rig.socket.dup()
    rig.listeners.end(spare_waiting=True)
    rig.reactor.tell(Started())
    rig.told.expect(Started)
    assert rig.told.kinds() == ["Started"]
    held_by_a_worker.close()


def test_a_file_that_cannot_be_watched_is_named(rigged: Rigged, tmp_path: Path) -> None:
    rig = rigged(f"unix:{tmp_path}/app.sock")
    assert rig.logged == []
    os.unlink(tmp_path / "app.sock")
    again = ListenerWatch(rig.reactor, rig.log, may_rebind=False)
    again.open(rig.listeners, rig.listeners.renew)
    ((event, fields),) = rig.logged
    assert (event, fields["feature"]) == ("master.degraded", "inotify")
    assert str(fields["reason"]).startswith(f"{tmp_path}/app.sock: No such file or directory")
    again.close()
