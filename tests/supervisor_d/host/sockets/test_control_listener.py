"""The control socket's listener, on real file systems and in the kernel's abstract namespace."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor_d.control.peer import peer_of
from supervisor_d.errors import ControlSocketError
from supervisor_d.host.sockets.control_listener import ControlListener, open_control_listener
from supervisor_d.host.unix_sockets import directory_lock
from supervisor_d.host.unix_sockets.directory_lock import locked
from supervisor_d.host.unix_sockets.exposure import opened
from tests.helpers.deadline import GENEROUS_S

DEADLINE_S = GENEROUS_S


def leave_a_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()


def test_the_socket_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        listener = open_control_listener((str(tmp_path / "c.sock"),))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "c.sock").stat().st_mode) == 0o660
    assert not os.get_inheritable(listener.socket.fileno())
    listener.close()


def test_a_living_socket_is_never_stolen_and_its_owner_is_named(tmp_path: Path) -> None:
    place = str(tmp_path / "c.sock")
    first = open_control_listener((place,))
    with pytest.raises(ControlSocketError, match=rf"c\.sock is in use by pid {os.getpid()}"):
        open_control_listener((place, "@never-reached"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(place)
        assert peer_of(client).uid == os.geteuid()
    first.close()


def test_a_living_socket_whose_backlog_is_full_is_not_stolen_either(tmp_path: Path) -> None:
    place = str(tmp_path / "c.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as caller:
        busy.bind(place)
        busy.listen(0)
        caller.connect(place)
        with pytest.raises(ControlSocketError, match=rf"in use by pid {os.getpid()}"):
            open_control_listener((place,))


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    leave_a_dead_socket(tmp_path / "c.sock")
    listener = open_control_listener((str(tmp_path / "c.sock"),))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "c.sock"))
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_that_a_daemon_left_that_was_killed_while_it_bound_is_no_hindrance(tmp_path: Path) -> None:
    with opened(tmp_path) as directory, locked(directory.fd):
        (left,) = tmp_path.iterdir()
        name = left.name
        assert stat.S_IMODE(left.stat().st_mode) == 0o600
    os.close(os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY, 0o600))
    open_control_listener((str(tmp_path / "c.sock"),)).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["a link", "a hard link", "a file that others may open"])
def test_what_is_not_a_file_of_ours_alone_is_no_lock_and_is_removed(tmp_path: Path, what: str) -> None:
    with opened(tmp_path) as directory, locked(directory.fd):
        (lock,) = tmp_path.iterdir()
    (tmp_path / "precious").write_text("precious")
    if what == "a link":
        lock.symlink_to("precious")
    elif what == "a hard link":
        lock.hardlink_to(tmp_path / "precious")
    else:
        lock.write_text("")
        lock.chmod(0o644)
    open_control_listener((str(tmp_path / "c.sock"),)).close()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "c.sock").write_text("precious")
    with pytest.raises(ControlSocketError, match="is not a socket"):
        open_control_listener((str(tmp_path / "c.sock"),))
    assert (tmp_path / "c.sock").read_text() == "precious"


def test_of_several_that_start_at_once_over_a_dead_socket_exactly_one_gets_it(tmp_path: Path) -> None:
    leave_a_dead_socket(tmp_path / "c.sock")
    outcomes = at_once(8, lambda: open_control_listener((str(tmp_path / "c.sock"),)))
    winners = [outcome for outcome in outcomes if isinstance(outcome, ControlListener)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, ControlSocketError)]
    assert (len(winners), len(losers)) == (1, 7)
    assert winners[0].place is not None
    assert os.lstat(tmp_path / "c.sock").st_ino == winners[0].place.inode
    winners[0].close()


def at_once(number: int, work: Callable[[], ControlListener]) -> list[ControlListener | BaseException]:
    """What each of so many threads got, all let go at one moment."""
    gate = threading.Barrier(number)
    outcomes: list[ControlListener | BaseException] = []

    def run() -> None:
        gate.wait(DEADLINE_S)
        try:
            outcomes.append(work())
        except ControlSocketError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    return outcomes


def test_closing_leaves_a_socket_that_somebody_else_has_put_in_our_place(tmp_path: Path) -> None:
    ours = open_control_listener((str(tmp_path / "c.sock"),))
    (tmp_path / "c.sock").unlink()
    theirs = open_control_listener((str(tmp_path / "c.sock"),))
    ours.close()
    assert (tmp_path / "c.sock").is_socket()
    theirs.close()


def test_closing_after_the_directory_is_gone_is_no_error(tmp_path: Path) -> None:
    listener = open_control_listener((str(tmp_path / "d" / "c.sock"),))
    (tmp_path / "d" / "c.sock").unlink()
    (tmp_path / "d").rmdir()
    listener.close()
    assert listener.socket.fileno() == -1


def test_a_directory_that_was_made_for_the_socket_is_removed_with_it(tmp_path: Path) -> None:
    directory = tmp_path / "typo"
    listener = open_control_listener((str(directory / "c.sock"),))
    assert directory.is_dir()
    listener.close()
    assert not directory.exists()


def test_a_directory_in_which_others_have_something_stays(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    listener = open_control_listener((str(directory / "c.sock"),))
    (directory / "theirs").write_text("")
    listener.close()
    assert [path.name for path in directory.iterdir()] == ["theirs"]


def test_a_directory_that_was_there_before_stays(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    open_control_listener((str(directory / "c.sock"),)).close()
    assert directory.is_dir()


def test_a_directory_that_was_made_for_a_socket_that_is_refused_is_removed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(ControlSocketError, match="every user may write"):
        open_control_listener((str(tmp_path / "typo" / "c.sock"),))
    assert not (tmp_path / "typo").exists()


def test_nobody_is_let_into_a_directory_in_which_every_user_could_replace_the_socket(tmp_path: Path) -> None:
    for shared in (tmp_path / "open", tmp_path / "open" / "below"):
        shared.mkdir()
    (tmp_path / "open").chmod(0o777)
    for place in ("open/c.sock", "open/below/c.sock"):
        with pytest.raises(ControlSocketError, match=rf"every user may write {tmp_path}/open, and replace the socket"):
            open_control_listener((str(tmp_path / place),))
    (tmp_path / "open").chmod(0o1777)
    listener = open_control_listener((str(tmp_path / "open" / "c.sock"),))
    assert listener.doubts == (
        f"every user may put files into {tmp_path}/open, and so take the name while the daemon does not run",
    )
    listener.close()
    listener = open_control_listener((str(tmp_path / "open" / "below" / "c.sock"),))
    assert listener.doubts == (), "in a sticky directory nobody but its owner renames the one below it"
    listener.close()


def test_the_next_place_is_taken_where_one_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    places = (str(tmp_path / "file" / "c.sock"), str(tmp_path / "a" / "b" / "c.sock"), str(tmp_path / "new" / "c.sock"))
    listener = open_control_listener(places)
    assert listener.address == places[2]
    listener.close()


def test_a_place_that_cannot_be_made_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlSocketError, match=r"file/c\.sock: Not a directory"):
        open_control_listener((str(tmp_path / "file" / "c.sock"),))
    with pytest.raises(ControlSocketError, match="may have 107 bytes"):
        open_control_listener((str(tmp_path / ("x" * 120)),))


def test_a_lock_that_is_never_given_back_is_an_error_rather_than_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_lock, "TRIES", 2)
    with (
        opened(tmp_path) as directory,
        locked(directory.fd),
        pytest.raises(ControlSocketError, match=rf"has been locked by pid {os.getpid()} of user .* for too long"),
    ):
        open_control_listener((str(tmp_path / "c.sock"),))


@pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="abstract sockets are Linux' own")
def test_an_abstract_socket_needs_no_file_is_not_stolen_and_is_free_again_once_closed() -> None:
    address = f"@supervisor-d-test/{os.getpid()}"
    first = open_control_listener((address,))
    with pytest.raises(ControlSocketError, match=f"in use by pid {os.getpid()}"):
        open_control_listener((address,))
    first.close()
    open_control_listener((address,)).close()
