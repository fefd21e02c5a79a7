"""Which daemon ctl means: the one that is named, or the only one that is ours."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from supervisor_d.control import socket_path
from supervisor_d.control.client import discovery
from supervisor_d.control.client.client import ClientError, Distrusted, NoDaemon
from supervisor_d.control.client.discovery import VARIABLE, SeveralDaemons, find
from supervisor_d.control.peer import Trust

STRANGERS = Trust(frozenset((4242,)))
"""Whoever believes this user alone meets only strangers here."""


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which only the directory `user` is looked at."""
    monkeypatch.setattr(
        discovery, "found", lambda environ: socket_path.found(environ, tmp_path / "no", tmp_path / "no")
    )
    (tmp_path / "user" / "supervisor-d").mkdir(parents=True)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "user")}


def listener_at(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def test_an_address_that_was_given_is_taken_as_it_is(environ: dict[str, str]) -> None:
    assert find("/x/y.sock", environ).address == "/x/y.sock"
    assert find("@z", {**environ, VARIABLE: "/v.sock"}).address == "@z"
    assert find("", {**environ, VARIABLE: "/v.sock"}).address == "/v.sock"
    with pytest.raises(NoDaemon, match="is off"):
        find("", {**environ, VARIABLE: "off"})


def test_a_socket_file_in_this_directory_is_meant_by_its_name_alone(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.sock").touch()
    with listener_at(tmp_path / "c0.sock"):
        assert find("c0.sock", environ).address == "./c0.sock"
        for no_socket in ("web.sock", "c1.sock", "c0"):
            with pytest.raises(NoDaemon, match=re.escape(f"no daemon called '{no_socket}'")):
                find(no_socket, environ)
        with pytest.raises(NoDaemon, match=r"called 'c0\.sock'"):
            find("", environ, name="c0.sock")


def test_the_only_living_daemon_needs_no_option(tmp_path: Path, environ: dict[str, str]) -> None:
    sockets = tmp_path / "user" / "supervisor-d"
    listener_at(sockets / "dead.sock").close()
    with listener_at(sockets / "api.sock"):
        assert find("", environ).address == str(sockets / "api.sock")


def test_of_several_daemons_one_must_be_chosen_by_name(tmp_path: Path, environ: dict[str, str]) -> None:
    sockets = tmp_path / "user" / "supervisor-d"
    with listener_at(sockets / "api.sock"), listener_at(sockets / "web.sock"):
        with pytest.raises(SeveralDaemons, match=r"api \(.*api\.sock\), web \(.*choose one with --socket") as caught:
            find("", environ)
        assert caught.value.exit_code == 2
        assert find("web", environ).address == str(sockets / "web.sock")
        with pytest.raises(NoDaemon, match="no daemon called 'wbe' runs here; there is api, web"):
            find("wbe", environ)


def test_no_daemon_at_all_is_said(environ: dict[str, str]) -> None:
    with pytest.raises(NoDaemon, match=r"no daemon runs here; .* --socket PATH"):
        find("", environ)


def test_a_socket_that_may_not_be_connected_to_is_said(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may connect everywhere, so the kernel's refusal is acted here."""

    def refuse(address: str, timeout_s: float) -> socket.socket:
        raise ClientError(f"cannot connect to {address}: Permission denied ({timeout_s:g} s)")

    monkeypatch.setattr(discovery, "connect", refuse)
    with (
        listener_at(tmp_path / "user" / "supervisor-d" / "api.sock"),
        pytest.raises(ClientError, match=r"not permitted to connect to .*api\.sock"),
    ):
        find("", environ)


def test_a_name_is_found_and_a_default_is_said_to_be_one(tmp_path: Path, environ: dict[str, str]) -> None:
    with listener_at(tmp_path / "user" / "supervisor-d" / "api.sock"):
        by_default = find("", environ)
        assert (by_default.is_named, by_default.peer is not None and by_default.peer.uid) == (False, os.geteuid())
        assert find("", environ, name="api").is_named
        assert find("", {**environ, VARIABLE: "web"}, name="api").is_named
        with pytest.raises(NoDaemon, match="no daemon called 'off'"):
            find("", environ, name="off")


def test_strangers_are_no_choice_and_are_named(tmp_path: Path, environ: dict[str, str]) -> None:
    with listener_at(tmp_path / "user" / "supervisor-d" / "api.sock"):
        for name in ("", "api"):
            with pytest.raises(Distrusted, match=rf"answered by pid {os.getpid()} of user .* not by uid 4242"):
                find("", environ, name=name, trust=STRANGERS)
        with pytest.raises(NoDaemon):
            find("", environ, name="web", trust=STRANGERS)
