"""Where control sockets live, and that ctl looks where daemons put them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from supervisor_d.control.socket_path import called, file_name, found, places, socket_address

XDG = {"XDG_RUNTIME_DIR": "/run/user/7"}


def test_the_usual_places_come_in_the_promised_order() -> None:
    environ = {"RUNTIME_DIRECTORY": "/run/api:/run/second", **XDG}
    assert places("", "api", environ, 7) == (
        "/run/api/control.sock",
        "/run/user/7/supervisor-d/api.sock",
        "/run/supervisor-d/api.sock",
        "@supervisor-d/7/api",
    )
    assert places("", "api", {}, 7) == ("/run/supervisor-d/api.sock", "@supervisor-d/7/api")


@pytest.mark.parametrize("given", ["/tmp/x.sock", "@mine"])
def test_a_place_that_was_asked_for_is_the_only_one(given: str) -> None:
    assert places(given, "api", XDG, 7) == (given,)


@pytest.mark.parametrize("off", ["off", "OFF"])
def test_off_is_no_place(off: str) -> None:
    assert places(off, "api", XDG, 7) == ()


def test_a_name_cannot_lead_out_of_its_directory() -> None:
    assert file_name("../../etc/x y") == "_.._etc_x_y"
    assert file_name("..") == "app"


def test_an_abstract_name_begins_with_nul_for_the_kernel() -> None:
    assert socket_address("@supervisor-d/x") == "\0supervisor-d/x"
    assert socket_address("/x") == "/x"


def test_a_daemon_is_called_by_its_socket_s_name_or_by_its_own_directory() -> None:
    assert called("/run/supervisor-d/api.sock") == "api"
    assert called("/run/api/control.sock") == "api"
    assert called("@supervisor-d/7/api") == "api"
    assert called("@supervisor-d/7/api~0123456789abcdef") == "api"
    assert called("@supervisor-d/api") == "api"
    assert called("@mine") == "mine"


def test_every_usual_place_is_found_again(tmp_path: Path) -> None:
    """What places() chooses, found() sees: only /run is another directory here."""
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "unit"), "XDG_RUNTIME_DIR": str(tmp_path / "user")}
    run = tmp_path / "run"
    chosen = [place.replace("/run/supervisor-d/", f"{run}/") for place in places("", "api", environ, 7)]
    kept = []
    for place in chosen[:-1]:
        Path(place).parent.mkdir(parents=True)
        kept.append(socket.socket(socket.AF_UNIX))
        kept[-1].bind(place)
    table = tmp_path / "unix"
    table.write_text(
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 11 @supervisor-d/7/api\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 12 @supervisor-d/7/api\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 13 @/tmp/.X11-unix/X0\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 14\n"
    )
    assert found(environ, run, table) == chosen
    for opened in kept:
        opened.close()


def test_plain_files_and_missing_directories_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.sock").write_text("")
    assert found({"XDG_RUNTIME_DIR": str(tmp_path / "no")}, tmp_path, tmp_path / "no") == []


def test_a_real_abstract_socket_is_found() -> None:
    if not Path("/proc/net/unix").exists():
        pytest.skip("abstract sockets are Linux' own")
    name = f"@supervisor-d/test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_address(name))
        listener.listen()
        assert name in found({})
