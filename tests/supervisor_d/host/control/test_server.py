"""The control server, on a real reactor with real sockets: what it answers, and what it does not let anybody do."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor_d.control.peer import Peer
from supervisor_d.host.control import connection, refusal_log, server
from supervisor_d.vocabulary import DumpRequested, ReloadRequested, ScaleRequested, StopRequested
from tests.helpers.door import Client, Door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path / "c.sock")
    yield door
    door.close()


def answered(door: Door, client: Client) -> Client:
    door.run_until(lambda: client.ended)
    return client


def test_a_reading_command_shows_the_view(door: Door) -> None:
    client = door.client()
    client.ask("GET", "/v1/status")
    assert answered(door, client).status == 200
    assert isinstance(client.body, dict)
    assert client.body["name"] == "api"
    assert b"Connection: close" in client.head
    assert door.facts == []


def test_readiness_follows_the_status(door: Door) -> None:
    first, second = door.client(), door.client()
    first.ask("GET", "/readyz")
    assert answered(door, first).status == 200
    door.view = replace(door.view, status=replace(door.view.status, ready=0))
    second.ask("GET", "/readyz")
    assert answered(door, second).status == 503


def test_a_writing_command_becomes_a_fact_and_waits_for_its_answer(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/scale", '{"by": -2}')
    fact = door.expect(ScaleRequested)
    assert (fact.change, fact.relative) == (-2, True)
    assert (fact.origin.by, fact.origin.how) == ("control", "scale")
    assert (fact.origin.pid, fact.origin.uid) == (os.getpid(), os.geteuid())
    assert client.answer == b""
    assert fact.ticket is not None
    door.control.answer(fact.ticket, 409, {"error": "no"})
    assert answered(door, client).status == 409
    assert client.body == {"error": "no"}


def test_the_slot_in_a_path_is_the_fact_s(door: Door) -> None:
    door.client().ask("POST", "/v1/workers/3/dump")
    assert door.expect(DumpRequested).slot == 3


def test_a_reload_that_is_not_waited_for_is_accepted_at_once_and_has_no_ticket(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/reload", '{"wait": false, "dry_run": true}')
    fact = door.expect(ReloadRequested)
    assert (fact.ticket, fact.dry_run) == (None, True)
    assert answered(door, client).status == 202
    assert client.body == {"accepted": True}


def test_progress_is_streamed_to_whoever_accepts_it_and_the_last_line_is_the_answer(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/reload", "", "Accept: application/x-ndjson")
    ticket = door.expect(ReloadRequested).ticket
    assert ticket is not None
    door.control.progress(ticket, {"phase": "canary"})
    door.run_until(lambda: len(client.lines) == 1)
    door.control.progress(ticket, {"phase": "rolling"})
    door.control.answer(ticket, 500, {"outcome": "rolled_back"})
    assert answered(door, client).lines == [
        {"phase": "canary"},
        {"phase": "rolling"},
        {"outcome": "rolled_back", "status": 500},
    ]
    assert client.answer.endswith(b"\r\n0\r\n\r\n")


def test_a_stream_that_had_no_progress_has_the_answer_s_own_status(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/reload", "", "Accept: application/x-ndjson")
    ticket = door.expect(ReloadRequested).ticket
    assert ticket is not None
    door.control.answer(ticket, 409, {"error": "stopping"})
    assert answered(door, client).status == 409
    assert client.lines == [{"error": "stopping", "status": 409}]


def test_progress_is_not_told_to_whoever_did_not_ask_for_a_stream(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/reload")
    ticket = door.expect(ReloadRequested).ticket
    assert ticket is not None
    door.control.progress(ticket, {"phase": "canary"})
    door.control.answer(ticket, 200, {"outcome": "committed"})
    assert answered(door, client).body == {"outcome": "committed"}


def test_a_client_that_hangs_up_while_it_waits_is_reported_gone_and_its_answer_is_dropped(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/reload")
    ticket = door.expect(ReloadRequested).ticket
    client.close()
    assert door.gone().ticket == ticket
    assert ticket is not None
    door.control.progress(ticket, {})
    door.control.answer(ticket, 200, {})
    assert answers_others(door)


def test_a_client_that_closes_only_its_sending_half_still_gets_its_answer(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/stop", '{"fast": true}')
    fact = door.expect(StopRequested)
    assert fact.fast
    client.socket.shutdown(socket.SHUT_WR)
    assert answers_others(door)  # a turn in which the end of input is seen
    assert fact.ticket is not None
    door.control.answer(fact.ticket, 202, {"stopping": True})
    assert answered(door, client).body == {"stopping": True}
    assert door.facts == []


def test_events_are_followed_from_the_ring_into_the_present(door: Door) -> None:
    client = door.client()
    client.ask("GET", "/v1/events?follow=1")
    door.run_until(lambda: len(client.lines) == 1)
    door.control.publish({"event": "worker.crashed"})
    door.run_until(lambda: len(client.lines) == 2)
    assert client.lines == [dict(door.view.events[0]), {"event": "worker.crashed"}]
    assert not client.ended


def test_without_follow_the_events_are_one_object(door: Door) -> None:
    client = door.client()
    client.ask("GET", "/v1/events")
    events = [dict(event) for event in door.view.events]
    assert answered(door, client).body == {"events": events, "next": 1, "more": False, "left_out": 0}


def test_closing_the_door_answers_who_waits_ends_the_streams_and_removes_the_socket(door: Door, tmp_path: Path) -> None:
    waiting, following = door.client(), door.client()
    waiting.ask("POST", "/v1/reload")
    following.ask("GET", "/v1/events?follow=1")
    door.expect(ReloadRequested)
    door.run_until(lambda: len(following.lines) == 1)
    door.shut()
    door.run_until(lambda: waiting.ended and following.ended)
    assert waiting.status == 503
    assert following.answer.endswith(b"\r\n0\r\n\r\n")
    assert list(tmp_path.iterdir()) == []


def test_a_stranger_may_read_but_not_write(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "peer_of", lambda _: Peer(4711, 54321))
    reader, writer = door.client(), door.client()
    reader.ask("GET", "/v1/status")
    writer.ask("POST", "/v1/stop")
    assert answered(door, reader).status == 200
    assert answered(door, writer).status == 403
    assert door.facts == []
    assert ("control.refused", 403, 4711, 54321) in [
        (event, fields["status"], fields["peer_pid"], fields["peer_uid"]) for event, fields in door.logged
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("GET", "/v1/nothing", "", 404, "no such path"),
        ("POST", "/v1/upgrade", "", 404, "no such path"),
        ("GET", "/v1/stop", "", 405, "only POST"),
        ("POST", "/v1/scale", '{"wrokers": 3}', 400, "'wrokers'; it may hold workers, by"),
        ("POST", "/v1/scale", '{"workers": 3, "by": 1}', 400, "either"),
        ("POST", "/v1/scale", "{}", 400, "either"),
        ("POST", "/v1/scale", '{"workers": 0}', 400, "at least 1"),
        ("POST", "/v1/scale", '{"workers": true}', 400, "whole number"),
        ("POST", "/v1/scale", '{"workers": 1.5}', 400, "whole number"),
        ("POST", "/v1/scale", "[1]", 400, "JSON object"),
        ("POST", "/v1/scale", "{", 400, "JSON object"),
        ("POST", "/v1/scale", "[" * 4000, 400, "JSON object"),
        ("POST", "/v1/stop", '{"fast": 1}', 400, "true or false"),
        ("POST", "/v1/workers/0/restart", "", 404, "from 1 to"),
        ("POST", "/v1/workers/x/restart", "", 404, "from 1 to"),
        ("POST", "/v1/workers/99999/restart", "", 404, "from 1 to"),
        ("GET", "/v1/events?folow=1", "", 400, "'folow'; it may hold follow, after, limit"),
        ("GET", "/v1/events?follow=perhaps", "", 400, "true or false"),
        ("GET", "/v1/status?x", "", 400, "NAME=VALUE"),
        ("GET", "/v1/status", '{"a": 1}', 400, "must be empty"),
    ],
)
def test_a_bad_request_is_refused_by_name(
    door: Door, method: str, path: str, body: str, status: int, told: str
) -> None:
    client = door.client()
    client.ask(method, path, body)
    assert answered(door, client).status == status
    assert isinstance(client.body, dict)
    assert told in client.body["error"]
    assert (b"Allow: POST" in client.head) == (status == 405)
    assert door.facts == []
    assert door.logged[-1][0] == "control.refused"


def answers_others(door: Door) -> bool:
    """That nothing else is disturbed: somebody else is answered, now."""
    other = door.client()
    other.ask("GET", "/healthz")
    return answered(door, other).status == 200


def test_a_request_of_a_megabyte_is_refused_and_its_sender_reads_why(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/scale", '{"by": ' + " " * 1_000_000 + "1}")
    assert answered(door, client).status == 413
    assert not client.reset
    assert answers_others(door)


def test_headers_of_a_megabyte_are_refused(door: Door) -> None:
    client = door.client()
    client.ask("GET", "/v1/status", "", "X: " + "y" * 1_000_000)
    assert answered(door, client).status == 431
    assert answers_others(door)


def test_a_chunked_body_that_never_ends_is_refused_once_it_is_too_long(door: Door) -> None:
    client = door.client()
    client.send(b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 4000)
    assert answered(door, client).status == 413
    assert answers_others(door)


@pytest.mark.parametrize(
    "garbage", [b"\0" * 64 + b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"hello\r\n\r\n"]
)
def test_garbage_is_refused(door: Door, garbage: bytes) -> None:
    client = door.client()
    client.send(garbage)
    assert answered(door, client).status == 400
    assert answers_others(door)


def test_a_thousand_garbage_requests_are_each_answered_but_do_not_fill_the_log(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(1000):
        client = door.client()
        client.send(b"garbage\r\n\r\n")
        assert answered(door, client).status == 400
        client.close()
    assert len(door.logged) == refusal_log.REFUSALS_LOGGED
    assert "no more of these" in str(door.logged[-1][1]["reason"])
    assert "no more of these" not in str(door.logged[-2][1]["reason"])
    monkeypatch.setattr(refusal_log, "REFUSALS_PERIOD_S", -1.0)  # each is over before it begins
    door.control._refusals = refusal_log.RefusalLog(door.log)
    client = door.client()
    client.send(b"garbage\r\n\r\n")
    assert answered(door, client).status == 400
    assert len(door.logged) == refusal_log.REFUSALS_LOGGED + 1


def test_a_request_that_never_ends_is_refused_at_its_deadline(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.1)
    client = door.client()
    client.send(b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Le")
    assert answered(door, client).status == 408
    assert door.facts == []


def test_a_request_that_comes_byte_by_byte_has_the_same_deadline(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.2)
    client = door.client()
    sent = 0

    def drip() -> bool:
        """One more byte each time the loop turns, but never so many that the request is refused for its size."""
        nonlocal sent
        if not client.answer and sent < 1000:
            client.send(b"X")
            sent += 1
        return client.ended

    door.run_until(drip)
    assert client.status == 408
    assert sent > 1


def test_a_request_split_at_every_byte_is_understood(door: Door) -> None:
    client = door.client()
    request = b'POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{"workers":5}'
    for byte in request:
        client.send(bytes((byte,)))
        assert answers_others(door)
    assert door.expect(ScaleRequested).change == 5


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(door: Door) -> None:
    client = door.client()
    client.send(b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n")
    door.run_until(lambda: b"100 " in client.answer)
    client.send(b'{"by":1}')
    assert door.expect(ScaleRequested).change == 1


def test_a_client_that_connects_and_leaves_is_no_event(door: Door) -> None:
    door.client().close()
    assert answers_others(door)
    assert door.logged == []


def test_two_hundred_idle_connections_leave_room_for_one_that_asks(door: Door) -> None:
    idle = [door.client() for _ in range(100)]
    door.run_until(lambda: sum(client.ended for client in idle) == 100 - server.CONNECTIONS_MAX)
    idle += [door.client() for _ in range(100)]
    assert answers_others(door)
    dropped = [client for client in idle if client.ended]
    assert {client.status for client in dropped} == {503}
    assert dropped == idle[: len(dropped)]  # the oldest ones
    assert len(idle) - len(dropped) < server.CONNECTIONS_MAX


def test_when_everybody_waits_for_an_answer_the_newcomer_is_refused(door: Door) -> None:
    waiting = [door.client() for _ in range(server.CONNECTIONS_MAX)]
    for client in waiting:
        client.ask("POST", "/v1/reload")
    door.run_until(lambda: len(door.facts) == len(waiting))
    newcomer = door.client()
    assert answered(door, newcomer).status == 503
    assert not any(client.ended for client in waiting)


def test_a_client_that_does_not_read_its_answer_is_dropped(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", 0.1)
    door.view = replace(door.view, incidents=[{"id": 1, "stacks": "x" * 4_000_000}])
    client = door.client()
    client.reads = False
    client.watch()
    client.ask("GET", "/v1/incidents")
    door.run_for(1.0)  # longer than the door's patience; nothing but that can end the connection
    client.reads = True
    client.watch()
    door.run_until(lambda: client.ended)
    assert 0 < len(client.answer) < 4_000_000


def test_an_answer_larger_than_a_socket_s_buffer_arrives_whole(door: Door) -> None:
    door.view = replace(door.view, incidents=[{"id": 1, "stacks": "x" * 4_000_000}])
    client = door.client()
    client.ask("GET", "/v1/incidents")
    assert answered(door, client).body["incidents"] == [{"id": 1, "stacks": "x" * 4_000_000}]


def test_a_follower_that_does_not_read_is_dropped_before_it_costs_much_memory(door: Door) -> None:
    client = door.client()
    client.ask("GET", "/v1/events?follow=1")
    door.run_until(lambda: len(client.lines) == 1)
    client.reads = False
    client.watch()
    for _ in range(80):
        door.control.publish({"event": "x" * 100_000})
    client.reads = True
    client.watch()
    door.run_until(lambda: client.ended)
    assert len(client.answer) < connection.FOLLOWER_UNREAD_MAX + 1_000_000
    assert answers_others(door)


def test_unread_output_of_all_together_is_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNREAD_MAX", 6_000_000)
    door.view = replace(door.view, incidents=[{"id": 1, "stacks": "x" * 4_000_000}])
    greedy = door.client()
    greedy.reads = False
    greedy.watch()
    greedy.ask("GET", "/v1/incidents")
    next_one = door.client()
    next_one.ask("GET", "/v1/incidents")
    assert answered(door, next_one).status == 503


def test_a_flood_after_the_request_ends_the_connection(door: Door) -> None:
    client = door.client()
    client.ask("POST", "/v1/reload")
    ticket = door.expect(ReloadRequested).ticket
    client.send(b"x" * 1_000_000)
    assert door.gone().ticket == ticket
    assert answers_others(door)


def test_without_a_descriptor_left_accepting_pauses_and_goes_on(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ACCEPT_PAUSE_S", 0.05)
    client = door.client()
    client.ask("GET", "/healthz")
    hoard: list[int] = []
    try:
        while True:
            hoard.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        door.run_until(lambda: bool(door.logged))
    finally:
        for fd in hoard:
            os.close(fd)
    assert door.logged[0][0] == "control.unavailable"
    assert answered(door, client).status == 200


def test_what_is_answered_is_json_whatever_it_holds(door: Door) -> None:
    door.view = replace(door.view, incidents=[{"id": 1, "path": Path("/x"), "text": "\udcff\x1b"}])
    client = door.client()
    client.ask("GET", "/v1/incidents")
    assert answered(door, client).body["incidents"] == [{"id": 1, "path": "/x", "text": "\udcff\x1b"}]
    assert b"\x1b" not in client.answer


def test_a_command_that_fails_is_answered_500_and_told_and_others_are_served(door: Door) -> None:
    door.fails_with = OSError(errno.EMFILE, "Too many open files")
    client = door.client()
    client.ask("GET", "/v1/status")
    assert answered(door, client).status == 500
    assert client.body == {"error": "the daemon failed at this; its log and `ctl incidents` say how"}
    assert [event for event, _ in door.logged] == ["master.faulted", "control.refused"]
    assert "Too many open files" in str(door.logged[0][1]["error"])
    door.fails_with = None
    assert answers_others(door)


def test_while_descriptors_are_scarce_silent_clients_make_room(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "is_scarce", lambda _: True)
    silent = [door.client() for _ in range(20)]
    door.run_until(lambda: sum(client.ended for client in silent) == 20 - server.CONNECTIONS_MIN)
    assert answers_others(door)
