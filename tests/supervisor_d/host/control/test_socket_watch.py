"""The control socket's file that is gone is noticed without polling, told, and bound anew."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor_d.host.control.server import ControlServer
from supervisor_d.host.control.socket_watch import SocketWatch
from supervisor_d.host.sockets import admin_listener, control_listener
from supervisor_d.settings.values.address import parse_address
from supervisor_d.vocabulary import Started
from tests.helpers.door import Door
from tests.helpers.views import a_view

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it unasked (inotify)")


class Watched(Door):
    """A control socket that is watched."""

    def __init__(self, place: Path, *, is_removed_before: bool = False) -> None:
        super().__init__(place)
        self.path = place
        if is_removed_before:
            place.unlink()
        self.watch = SocketWatch(self.reactor, self.log)
        listener = self.control._listener
        assert isinstance(listener, control_listener.ControlListener)
        self.watch.add(self.control, listener, control_listener.rebind)

    def log(self, event: str, /, **fields: object) -> None:
        super().log(event, **fields)
        self.reactor.tell(Started())  # wakes run_until

    def hears(self, *events: str) -> None:
        self.run_until(lambda: [event for event, _ in self.logged] == list(events))

    def answers(self) -> None:
        client = self.client()
        client.ask("GET", "/healthz")
        self.run_until(lambda: client.ended)
        assert client.status == 200


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "run").mkdir()
    made = Watched(tmp_path / "run/c.sock")
    yield made
    made.watch.close()
    made.close()


@pytest.mark.parametrize("how", ["removed", "renamed", "with its directory"])
def test_a_file_that_is_gone_is_told_and_bound_anew_each_time(door: Watched, how: str) -> None:
    for turn in range(1, 3):
        if how == "removed":
            door.path.unlink()
        else:
            gone = door.path if how == "renamed" else door.path.parent
            gone.rename(gone.with_name(f"old{turn}"))
        door.hears(*["control.lost", "control.restored"] * turn)
        assert "its file is gone" in str(door.logged[-2][1]["reason"])
        door.answers()
    door.watch.close()
    door.shut()
    assert not door.path.exists()


def test_a_file_that_was_gone_before_it_was_watched_is_bound_anew_at_once(tmp_path: Path) -> None:
    door = Watched(tmp_path / "c.sock", is_removed_before=True)
    try:
        door.hears("control.lost", "control.restored")
        door.answers()
    finally:
        door.watch.close()
        door.close()


def test_a_client_that_waits_for_its_answer_gets_it(door: Watched) -> None:
    waiting = door.client()
    waiting.ask("POST", "/v1/reload")
    door.run_until(lambda: bool(door.facts))
    door.path.unlink()
    door.hears("control.lost", "control.restored")
    (fact,) = door.facts
    ticket = getattr(fact, "ticket", None)
    assert ticket is not None
    door.control.answer(ticket, 200, {"outcome": "committed"})
    door.run_until(lambda: waiting.ended)
    assert waiting.status == 200


def test_what_another_process_has_put_in_its_place_is_left_alone(door: Watched) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{door.path}.new")
        other.listen()
        os.rename(f"{door.path}.new", door.path)
        door.hears("control.lost", "control.lost")
        assert "another file is in its place" in str(door.logged[0][1]["reason"])
        assert f"in use by pid {os.getpid()}" in str(door.logged[1][1]["reason"])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(door.path))
            other.accept()[0].close()
    # It is dead now, and the next attempt takes the place again.
    door.hears("control.lost", "control.lost", "control.restored")
    door.answers()


def test_a_file_that_is_put_back_is_well_again(door: Watched) -> None:
    aside = door.path.with_name("aside")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{door.path}.new")
        other.listen()
        os.link(door.path, aside)
        os.rename(f"{door.path}.new", door.path)
        door.hears("control.lost", "control.lost")
        os.rename(aside, door.path)
        door.hears("control.lost", "control.lost", "control.restored")
    door.answers()


def test_a_unix_socket_of_admin_bind_is_bound_anew_as_well(door: Watched, tmp_path: Path) -> None:
    place = tmp_path / "admin.sock"
    (listener,) = admin_listener.open_admin_listeners(parse_address(f"unix:{place}"), "test", 0o600, {})
    admin = ControlServer(door.reactor, listener, a_view, door.log)
    door.watch.add(admin, listener, lambda old: admin_listener.rebind(old, 0o600))
    place.unlink()
    door.hears("control.lost", "control.restored")
    assert door.logged[0][1]["address"] == f"unix:{place}"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
    assert place.stat().st_mode & 0o777 == 0o600
    door.watch.close()
    admin.close()
    assert not place.exists()


def test_an_abstract_socket_is_not_watched() -> None:
    name = f"@supervisor-d-test-{os.getpid()}-door"
    door = Door(name)
    watch = SocketWatch(door.reactor, door.log)
    listener = door.control._listener
    assert isinstance(listener, control_listener.ControlListener)
    watch.add(door.control, listener, control_listener.rebind)
    watch.close()
    door.close()
    assert door.logged == []
