"""Where lines go: batches, several writers, what happens when nothing can be written, and that whole lines are."""

from __future__ import annotations

import os
import select
import socket
import threading
from pathlib import Path

import pytest

from server_core.access_log.sink import BATCH_LINES, KEPT_BYTES, Sink
from tests.helpers.http import Heard
from tests.helpers.terminal import a_terminal


def drained(reader: int) -> bytes:
    """All that a pipe holds."""
    os.set_blocking(reader, False)
    data = b""
    try:
        while part := os.read(reader, 1 << 20):
            data += part
    except BlockingIOError:
        pass
    return data


def test_lines_are_written_when_there_are_enough_and_at_a_flush(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    sink = Sink(str(path), Heard())
    for _ in range(BATCH_LINES - 1):
        sink.add("line\n")
    assert path.read_bytes() == b""
    sink.add("line\n")
    assert path.read_bytes() == b"line\n" * BATCH_LINES
    sink.add("caf\u00e9 \udc80\n")
    sink.flush()
    assert path.read_bytes().endswith(b"caf\xc3\xa9 \\udc80\n")
    sink.add("last\n")
    sink.close()
    assert path.read_bytes().endswith(b"last\n")


def test_no_line_has_a_priority_in_the_journal_that_a_client_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    """sd-daemon(3): the journal believes `<0>` at the beginning of a line, and writes it to every terminal."""
    reader, writer = os.pipe()
    told, held = os.fstat(writer), os.dup(1)
    os.dup2(writer, 1)
    try:
        monkeypatch.setenv("JOURNAL_STREAM", f"{told.st_dev}:{told.st_ino}")
        sink = Sink("-", Heard())
        for line in ("<0>one\n", "two\n", "\u00e9" + "<0>" * 16_000 + "\n"):
            sink.add(line)
        sink.flush()
        sink.flush()
        sink.add("<3>three\n")
        sink.close()
    finally:
        os.dup2(held, 1)
        os.close(held)
        os.close(writer)
    lines = drained(reader).splitlines()
    assert lines[:2] == [b"<6><0>one", b"<6>two"]
    assert lines[-1] == b"<6><3>three"
    assert all(line.startswith(b"<6>") and len(line) < 48 << 10 for line in lines), "or the journal cuts it anew"
    assert b"".join(line[3:] for line in lines[2:-1]) == b"\xc3\xa9" + b"<0>" * 16_000
    os.close(reader)


def test_reopen_moves_to_a_new_file_and_loses_nothing(tmp_path: Path) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    sink = Sink(str(path), Heard())
    sink.add("old\n")
    path.rename(moved)
    sink.add("still old\n")
    sink.reopen()
    sink.add("new\n")
    sink.close()
    assert moved.read_text() == "old\nstill old\n"
    assert path.read_text() == "new\n"


def test_several_writers_of_one_file_keep_each_other_s_lines_whole(tmp_path: Path) -> None:
    path = tmp_path / "access.log"

    def write(sign: str) -> None:
        sink = Sink(str(path), Heard())
        for _ in range(2000):
            sink.add(sign * 100 + "\n")
        sink.close()

    threads = [threading.Thread(target=write, args=(sign,)) for sign in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted(sign * 100 for sign in "abcd" for _ in range(2000))


def test_a_full_disk_is_told_once_and_what_it_cost_is_counted() -> None:
    heard = Heard()
    sink = Sink("/dev/full", heard)
    for _ in range(3):
        sink.add("line\n")
        sink.flush()
    (failure,) = heard.all("access_log.failed")
    assert failure["path"] == "/dev/full"
    assert "No space" in str(failure["error"])
    assert heard.all("access_log.lost") == [], "they are kept, and may still be written"
    sink.close()
    assert heard.all("access_log.lost") == [{"path": "/dev/full", "lines": 3}]


def test_what_could_not_be_written_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    heard, path = Heard(), tmp_path / "later" / "access.log"
    sink = Sink(str(path), heard)
    sink.add("one\n")
    sink.flush()
    assert len(heard.all("access_log.failed")) == 1, "the directory is not there"
    path.parent.mkdir()
    sink.add("two\n")
    sink.flush()
    assert path.read_text() == "one\ntwo\n"
    sink.close()
    assert heard.all("access_log.lost") == []


def test_no_more_is_kept_than_the_bound(tmp_path: Path) -> None:
    heard, path = Heard(), tmp_path / "later" / "access.log"
    sink = Sink(str(path), heard)
    line = "x" * 999 + "\n"
    count = 2 * KEPT_BYTES // 1000
    for _ in range(count):
        sink.add(line)
    sink.flush()
    path.parent.mkdir()
    sink.close()
    (lost,) = heard.all("access_log.lost")
    written = path.read_text().count("\n")
    assert lost["lines"] == count - written
    assert written == KEPT_BYTES // 1000


def test_a_pipe_that_nobody_reads_stops_nobody_and_gets_whole_lines() -> None:
    reader, writer = os.pipe()
    spare = os.dup(1)
    heard = Heard()
    try:
        os.dup2(writer, 1)
        sink = Sink("-", heard)
        for number in range(5000):
            sink.add(f"{number:099d}\n")
        sink.flush()
        lines = drained(reader).splitlines()
        sink.flush()
        lines += drained(reader).splitlines()
        sink.close()
        lines += drained(reader).splitlines()
    finally:
        os.dup2(spare, 1)
        for fd in (spare, reader, writer):
            os.close(fd)
    assert [int(line) for line in lines] == list(range(len(lines)))
    assert all(len(line) == 99 for line in lines)
    lost = sum(int(str(told["lines"])) for told in heard.all("access_log.lost"))
    assert len(lines) + lost == 5000
    assert heard.all("access_log.failed") == []


def test_a_line_longer_than_a_pipe_keeps_together_is_written_all_the_same() -> None:
    here, there = socket.socketpair()
    spare = os.dup(2)
    try:
        os.dup2(here.fileno(), 2)
        sink = Sink("stderr", Heard())
        sink.add("a" * (2 * select.PIPE_BUF) + "\n")
        sink.add("b\n")
        sink.close()
    finally:
        os.dup2(spare, 2)
        os.close(spare)
        here.close()
    data = b""
    while part := there.recv(65536):
        data += part
    there.close()
    assert data == b"a" * (2 * select.PIPE_BUF) + b"\nb\n"


def test_after_a_line_that_was_written_in_part_the_next_one_begins_a_line(tmp_path: Path) -> None:
    heard, path = Heard(), tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = Sink(str(path), heard)
    try:
        for _ in range(3):
            sink.add("y" * 50_000 + "\n")  # a pipe holds 65,536 bytes: the second one is cut
        sink.flush()
        first = drained(reader)
        sink.flush()
        second = drained(reader)
        sink.close()
        whole = [line for line in (first + second).split(b"\n") if len(line) == 50_000]
        cut = [line for line in (first + second).split(b"\n") if 0 < len(line) < 50_000]
        assert (len(whole), len(cut)) == (2, 1)
        assert sum(int(str(told["lines"])) for told in heard.all("access_log.lost")) == 1
    finally:
        os.close(reader)


def test_a_named_pipe_without_a_reader_does_not_stop_the_worker(tmp_path: Path) -> None:
    heard, path = Heard(), tmp_path / "pipe"
    os.mkfifo(path)
    sink = Sink(str(path), heard)
    sink.add("line\n")
    sink.flush()
    assert len(heard.all("access_log.failed")) == 1
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        sink.flush()
        assert drained(reader) == b"line\n"
        sink.close()
    finally:
        os.close(reader)


def test_a_terminal_gets_each_line_at_once() -> None:
    main, terminal = a_terminal()
    try:
        sink = Sink(os.ttyname(terminal), Heard())
        sink.add("line\n")
        assert select.select([main], [], [], 20)[0]
        assert os.read(main, 100).strip() == b"line"
        sink.close()
    finally:
        os.close(main)
        os.close(terminal)


@pytest.mark.parametrize("target", ["-", "stderr"])
def test_a_standard_stream_is_never_closed(target: str) -> None:
    sink = Sink(target, Heard())
    sink.reopen()
    sink.close()
    os.fstat({"-": 1, "stderr": 2}[target])


def test_a_new_file_is_for_its_owner_and_group_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for name in ("new", "old"):
            (tmp_path / "old").touch(mode=0o604)
            Sink(str(tmp_path / name), Heard()).close()
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o604


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_in_a_directory_for_all_another_user_s_file_or_link_is_not_written(tmp_path: Path) -> None:
    shared, precious = tmp_path / "tmp", tmp_path / "precious"
    shared.mkdir()
    shared.chmod(0o1777)
    precious.write_text("")
    for name in ("file", "link", "mine"):
        path = shared / name
        if name == "file":
            path.write_text("")
        else:
            path.symlink_to(precious)
        if name != "mine":
            os.chown(path, 4242, 4242, follow_symlinks=False)
        heard = Heard()
        sink = Sink(str(path), heard)
        sink.add("line\n")
        sink.close()
        refused = [fields["error"] for event, fields in heard.events if event == "access_log.failed"]
        assert len(refused) == (name != "mine"), refused
        assert not refused or str(refused[0]).startswith("[Errno 13]"), "by us, or by the kernel (protected_symlinks)"
    assert precious.read_text() == "line\n", "by our own link alone"
    assert (shared / "file").read_text() == ""
