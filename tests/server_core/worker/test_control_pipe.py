"""The worker's end of the pipe: whole messages whatever the kernel makes of them, and the end as an end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from server_core.contract.messages import MESSAGE_LIMIT, Message, decode, encode
from server_core.worker.control_pipe import MasterGone, Pipe

Ends = tuple[Pipe, socket.socket]


@pytest.fixture(params=[socket.SOCK_SEQPACKET, socket.SOCK_STREAM], ids=["seqpacket", "stream"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    theirs, ours = socket.socketpair(socket.AF_UNIX, request.param)
    pipe = Pipe(ours)
    yield pipe, theirs
    pipe.close()
    theirs.close()


def test_messages_are_told_in_order(ends: Ends) -> None:
    pipe, master = ends
    master.sendall(b"spec {}\n")
    assert pipe.receive_one() == Message("spec", {})
    master.sendall(b"serve\n")
    master.sendall(b'drain {"timeout_s":1}\n')
    heard = pipe.receive()
    while len(heard) < 2:
        heard += pipe.receive()
    assert heard == [Message("serve", {}), Message("drain", {"timeout_s": 1})]


@pytest.mark.parametrize("text", ["x" * 300_000, "п" * 60_000, "\U0001f600" * 60_000, "\ud800" * 60_000])
def test_what_is_too_long_for_one_message_loses_its_beginning(text: str) -> None:
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pipe = Pipe(ours)
    with theirs:
        assert pipe.send("held", {"threads": ["a", text[:20_000], "b"], "stacks": f"{text}, the end"})
        assert pipe.send("recycle", {"reason": "later"})
        message = decode(theirs.recv(MESSAGE_LIMIT))
        assert str(message.fields["stacks"]).endswith("the end")
        assert message.verb == "held"
        assert decode(theirs.recv(MESSAGE_LIMIT)).fields == {"reason": "later"}
    pipe.close()


def test_a_descriptor_that_comes_with_a_message_is_kept_and_closed_to_programs(ends: Ends) -> None:
    pipe, master = ends
    with socket.create_server(("127.0.0.1", 0)) as sent:
        socket.send_fds(master, [b"listen {}\n"], [sent.fileno()])
        assert pipe.receive() == [Message("listen", {})]
        fd = pipe.descriptor()
        assert fd is not None
        assert not os.get_inheritable(fd)
        with socket.socket(fileno=fd) as same:
            assert same.getsockname() == sent.getsockname()
    assert pipe.descriptor() is None


@pytest.mark.parametrize("more", [0, 1])
def test_a_message_of_just_the_limit_is_whole(more: int) -> None:
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pipe = Pipe(ours)
    reason = "x" * (MESSAGE_LIMIT - len(encode("recycle", {"reason": ""})) + more)
    with theirs:
        pipe.send("recycle", {"reason": reason})
        assert (decode(theirs.recv(MESSAGE_LIMIT)).fields["reason"] == reason) == (not more)
    pipe.close()


def test_a_message_in_pieces_is_told_when_it_is_whole(ends: Ends) -> None:
    pipe, master = ends
    master.sendall(b"ser")
    assert pipe.receive() == []
    master.sendall(b"ve\npa")
    assert pipe.receive() == [Message("serve", {})]
    master.sendall(b"rk\n")
    assert pipe.receive() == [Message("park", {})]


def test_nothing_there_is_no_message_and_no_wait(ends: Ends) -> None:
    assert ends[0].receive() == []


def test_the_masters_end_is_told_after_its_last_message(ends: Ends) -> None:
    pipe, master = ends
    master.sendall(b"serve\n")
    master.close()
    assert pipe.receive() == [Message("serve", {})]
    with pytest.raises(MasterGone):
        pipe.receive()
    assert pipe.is_gone
    assert not pipe.send("ready")


def test_a_master_that_went_with_our_words_unread_is_gone(ends: Ends) -> None:
    pipe, master = ends
    assert pipe.send("booted")
    master.close()
    with pytest.raises(MasterGone):
        pipe.receive()


def test_saying_something_to_nobody_is_false_and_no_error(ends: Ends) -> None:
    pipe, master = ends
    master.close()
    assert not pipe.send("ready")
    assert pipe.is_gone


@pytest.mark.parametrize("line", [b"spec {\n", b" \n", b"\xff\xff\n"])
def test_what_is_no_message_is_a_master_gone(ends: Ends, line: bytes) -> None:
    pipe, master = ends
    master.sendall(line)
    with pytest.raises(MasterGone):
        pipe.receive_one()
    assert pipe.is_gone


FAILS = """
import sys
from server_core.worker.bootstrap import report_failure
from server_core.worker.control_pipe import Pipe
report_failure(Pipe.from_descriptor(int(sys.argv[1])), "import", "KeyError: 'A'")
"""


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="needs SO_PEERCRED")
@pytest.mark.parametrize("is_masters_child", [True, False])
def test_a_failure_is_written_to_standard_error_only_where_no_master_lives(is_masters_child: bool) -> None:
    """A master that lives and has hung up stops for another worker's failure. This process made the pair."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    between = [] if is_masters_child else ["sh", "-c", '"$@"; exit 0', "sh"]
    command = [*between, sys.executable, "-c", FAILS, str(ours.fileno())]
    with ours:
        done = subprocess.run(command, pass_fds=[ours.fileno()], stderr=subprocess.PIPE, text=True, check=True)
    assert done.stderr == ("" if is_masters_child else "KeyError: 'A'\n")


def test_what_is_offered_never_waits_and_comes_whole_or_not_at_all() -> None:
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pipe, said = Pipe(ours), 0
    with theirs:
        while pipe.offer("stuck", {"stacks": "x" * 50_000}):
            said += 1
        assert said
        assert not pipe.is_gone
        for _ in range(said):
            assert decode(theirs.recv(MESSAGE_LIMIT)).fields == {"stacks": "x" * 50_000}
        assert pipe.offer("stuck", {})
    assert not pipe.offer("stuck", {})
    assert pipe.is_gone
    pipe.close()
