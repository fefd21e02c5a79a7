"""A worker's own file: of a fixed size, and with room for stacks behind the record."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator

import pytest

from server_core.contract.scoreboard import RECORD_FILE_BYTES, STACKS_BYTES
from supervisor_d.host.observation.worker_record import WorkerRecord, anonymous_file, store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are sealed on Linux only")


@pytest.fixture
def record() -> Iterator[WorkerRecord]:
    made = WorkerRecord("worker-1")
    yield made
    made.close()


@pytest.mark.parametrize("size", [0, 4096, RECORD_FILE_BYTES - 1, RECORD_FILE_BYTES + 1, 1 << 30])
def test_its_size_cannot_be_changed(record: WorkerRecord, size: int) -> None:
    with pytest.raises(OSError, match=r".") as refused:
        os.ftruncate(record.fd, size)
    assert refused.value.errno == errno.EPERM
    assert os.fstat(record.fd).st_size == RECORD_FILE_BYTES


def test_no_seal_can_be_added(record: WorkerRecord) -> None:
    with pytest.raises(OSError, match=r".") as refused:
        fcntl.fcntl(record.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert refused.value.errno == errno.EPERM


def test_a_worker_that_has_all_writes_appended_keeps_none_of_ours_out(record: WorkerRecord) -> None:
    os.write(record.fd, b"Thread 1\n")
    worker = os.dup(record.fd)  # shares the flags, too
    fcntl.fcntl(worker, fcntl.F_SETFL, os.O_APPEND)
    record.blank_stacks()
    assert record.stacks() == ""
    store(record.fd, b"12345", 16)
    assert os.pread(record.fd, 7, 15) == b"\x0012345\0"
    os.close(worker)


def test_an_anonymous_file_has_the_size_that_was_asked_for_and_no_memory_yet() -> None:
    fd = anonymous_file("loads", 65536)
    assert (os.fstat(fd).st_size, os.fstat(fd).st_blocks) == (65536, 0)
    os.close(fd)


def test_stacks_are_what_was_written_since_they_were_blanked(record: WorkerRecord) -> None:
    worker = os.dup(record.fd)  # shares the offset, as an inherited descriptor does
    assert record.stacks() == ""
    os.write(worker, b"Thread 1\n")
    os.write(worker, b"  File x\n")
    assert record.stacks() == "Thread 1\n  File x\n"
    record.blank_stacks()
    os.write(worker, b"again\n")
    assert record.stacks() == "again\n"
    assert record.figures().requests_total == 0
    os.close(worker)


def test_stacks_that_are_too_long_end_with_the_file(record: WorkerRecord) -> None:
    worker = os.dup(record.fd)
    for _ in range(STACKS_BYTES // 1024):
        assert os.write(worker, b"x" * 1024) == 1024
    with pytest.raises(PermissionError):
        os.write(worker, b"x")
    assert record.stacks() == "x" * STACKS_BYTES
    os.close(worker)
