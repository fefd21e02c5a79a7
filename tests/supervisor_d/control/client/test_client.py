"""What ctl gets from the socket, and how it tells apart what can be wrong; against the real door."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor_d.control.client import client
from supervisor_d.control.client.client import ClientError, Distrusted, NoDaemon, call, connect, stream
from supervisor_d.control.peer import Trust
from supervisor_d.vocabulary import ReloadRequested, ScaleRequested
from tests.helpers.door import Door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path / "api.sock")
    yield door
    door.close()


def listener_at(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def answering(path: Path, answer: bytes) -> threading.Thread:
    """A server of one connection that reads once, says this and closes."""
    listener = listener_at(path)

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_an_answer_is_its_status_and_its_object(door: Door) -> None:
    status, told = door.run_beside(lambda: call(door.control.address, "GET", "/v1/config"))
    assert (status, told) == (200, {"settings": [{"name": "workers", "value": "2", "source": "flag --workers"}]})


def test_metrics_are_text(door: Door) -> None:
    status, told = door.run_beside(lambda: call(door.control.address, "GET", "/metrics"))
    assert status == 200
    assert isinstance(told, str)
    assert "supervisor_d_up 1" in told


def test_a_refusal_is_an_answer_too(door: Door) -> None:
    status, told = door.run_beside(lambda: call(door.control.address, "POST", "/v1/scale", {"workers": 0}))
    assert status == 400
    assert told == {"error": "workers: must be at least 1, not 0"}


def test_a_request_that_is_too_large_still_reads_its_refusal(door: Door) -> None:
    big = {"by": 1, "x": "y" * 1_000_000}
    status, _ = door.run_beside(lambda: call(door.control.address, "POST", "/v1/scale", big))
    assert status == 413


def test_an_abstract_address_is_reached() -> None:
    if not Path("/proc/net/unix").exists():
        pytest.skip("abstract sockets are Linux' own")
    door = Door(f"@supervisor-d-test/client-{os.getpid()}")
    status, _ = door.run_beside(lambda: call(door.control.address, "GET", "/healthz"))
    door.close()
    assert status == 200


def test_a_writing_command_is_waited_for(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.1)

    def answer_late() -> None:
        ticket = door.expect(ScaleRequested).ticket
        door.run_for(0.4)
        assert ticket is not None
        door.control.answer(ticket, 200, {"old": 1, "target": 2})

    answer = door.run_beside(lambda: call(door.control.address, "POST", "/v1/scale", {"by": 1}), answer_late)
    assert answer == (200, {"old": 1, "target": 2})


def test_a_stream_gives_progress_and_then_the_answer_with_its_status(door: Door) -> None:
    def roll_back() -> None:
        ticket = door.expect(ReloadRequested).ticket
        assert ticket is not None
        door.control.progress(ticket, {"phase": "canary"})
        door.control.answer(ticket, 500, {"outcome": "rolled_back"})

    told = door.run_beside(lambda: list(stream(door.control.address, "POST", "/v1/reload", {})), roll_back)
    assert told == [{"phase": "canary"}, {"outcome": "rolled_back", "status": 500}]


def test_a_refused_stream_is_one_object(door: Door) -> None:
    refused = door.run_beside(lambda: list(stream(door.control.address, "POST", "/v1/reload", {"what": 1})))
    assert [sorted(told) for told in refused] == [["error", "status"]]
    assert refused[0]["status"] == 400


def test_a_daemon_that_goes_away_in_the_middle_is_an_error(tmp_path: Path) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"
    thread = answering(tmp_path / "c", cut)
    told = stream(str(tmp_path / "c"), "POST", "/v1/reload")
    assert next(told) == {}
    with pytest.raises(ClientError, match="went away before it had answered"):
        next(told)
    thread.join()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"+PONG\r\n"])
def test_what_is_no_answer_is_an_error(tmp_path: Path, answer: bytes) -> None:
    thread = answering(tmp_path / "c", answer)
    with pytest.raises(ClientError, match="went away"):
        call(str(tmp_path / "c"), "GET", "/v1/status")
    thread.join()


def test_json_that_is_none_is_an_error(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{"
    thread = answering(tmp_path / "c", answer)
    with pytest.raises(ClientError, match="is no control socket"):
        call(str(tmp_path / "c"), "GET", "/v1/status")
    thread.join()


def test_a_master_that_does_not_answer_a_reading_command_is_given_up(tmp_path: Path) -> None:
    with listener_at(tmp_path / "c"), pytest.raises(ClientError, match=r"did not answer within 0\.1 s"):
        call(str(tmp_path / "c"), "GET", "/v1/status", timeout_s=0.1)


def test_nobody_there_is_no_daemon_and_exit_code_3(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon, match="no daemon listens at") as caught:
        call(str(tmp_path / "c"), "GET", "/v1/status")
    assert caught.value.exit_code == 3
    listener_at(tmp_path / "dead").close()
    with pytest.raises(NoDaemon):
        call(str(tmp_path / "dead"), "GET", "/v1/status")


def test_somebody_whose_word_is_not_taken_is_named_and_asked_nothing(tmp_path: Path) -> None:
    with listener_at(tmp_path / "c") as listener:
        with pytest.raises(Distrusted, match=rf"c is answered by pid {os.getpid()} of user .*--expect-user") as caught:
            call(str(tmp_path / "c"), "POST", "/v1/stop", trust=Trust(frozenset((4242,))))
        assert caught.value.exit_code == 1
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b"", "the connection was closed with no byte in it"


def test_a_full_accept_queue_is_waited_for(tmp_path: Path) -> None:
    """Connections of a crowd get their turn as the queue empties: connect(2) of a non-blocking socket fails at once."""
    with listener_at(tmp_path / "c") as listener:
        listener.listen(0)
        crowd: list[socket.socket] = []
        threads = [threading.Thread(target=lambda: crowd.append(connect(str(tmp_path / "c"), 30.0))) for _ in range(20)]
        for thread in threads:
            thread.start()
        accepted = [listener.accept()[0] for _ in threads]
        for thread in threads:
            thread.join(30.0)
        assert len(crowd) == 20
        for connection in (*crowd, *accepted):
            connection.close()


def test_a_queue_that_stays_full_is_given_up(tmp_path: Path) -> None:
    with listener_at(tmp_path / "c") as listener:
        listener.listen(0)
        with (
            connect(str(tmp_path / "c"), 30.0),
            pytest.raises(ClientError, match=r"accepts no connection: its queue was full for 0\.1 s"),
        ):
            connect(str(tmp_path / "c"), 0.1)
