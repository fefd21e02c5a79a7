"""Logging: declared events only, one line each that nobody can forge, and a reader that may vanish or stall."""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from server_core.log import EVENTS, LEVELS, Log, setup
from server_core.standard_error import StderrLogger


@contextmanager
def standard_error(reader_is_there: bool = True) -> Iterator[int]:
    """Descriptor 2 as a pipe, and its reading end."""
    kept = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    if not reader_is_there:
        os.close(reader)
    try:
        yield reader
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if reader_is_there:
            os.close(reader)


@contextmanager
def redirected(descriptor: int) -> Iterator[None]:
    """Descriptor 2 as a copy of another."""
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def said(reader: int) -> str:
    """What is in the pipe now."""
    text = b""
    while select.select([reader], [], [], 0)[0]:
        text += os.read(reader, 65536)
    return text.decode()


def a_log(form: str = "json", level: str = "debug") -> Log:
    return setup(form=form, level=level, table=EVENTS, bound={"slot": 3})


def test_a_json_line_carries_the_event_its_level_its_facts_and_the_bound_ones() -> None:
    with standard_error() as reader:
        a_log()("worker.orphaned", pid=7, timeout_s=1.5)
        line = json.loads(said(reader))
    assert {name: line[name] for name in ("event", "level", "slot", "pid", "timeout_s", "logger_pid")} == {
        "event": "worker.orphaned",
        "level": "warning",
        "slot": 3,
        "pid": 7,
        "timeout_s": 1.5,
        "logger_pid": os.getpid(),
    }
    assert line["timestamp"].endswith("Z")


def test_an_undeclared_event_is_an_error() -> None:
    with pytest.raises(KeyError):
        a_log()("worker.danced")


@pytest.mark.parametrize("level", LEVELS)
def test_the_level_is_the_least_that_is_written(level: str) -> None:
    with standard_error() as reader:
        log = a_log(level=level)
        for event in EVENTS:
            log(event)
        written = [json.loads(line)["event"] for line in said(reader).splitlines()]
    assert written == [event for event, row in EVENTS.items() if LEVELS[row.level] >= LEVELS[level]]


def test_every_event_is_a_noun_and_a_participle_with_a_known_level_and_a_meaning() -> None:
    for name, row in EVENTS.items():
        noun, _, participle = name.partition(".")
        assert noun.isidentifier(), name
        assert participle.isidentifier(), name
        assert row.level in LEVELS
        assert row.meaning.endswith(".")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("forged", ['a\n{"event":"worker.orphaned"}\x1b[2J\r', "/\x1b[2J"])
def test_client_text_forges_no_line_and_steers_no_terminal(form: str, forged: str) -> None:
    with standard_error() as reader:
        a_log(form)("request.refused", status=400, reason=forged, client=forged)
        text = said(reader)
    assert text.count("\n") == 1
    assert "\x1b[2J" not in text
    assert "\r" not in text


def test_a_traceback_stands_indented_below_its_event_on_a_console() -> None:
    with standard_error() as reader:
        a_log("console")("request.failed", method="GET", path="/", traceback="Traceback:\n  File\nLookupError: \x1b[2J")
        lines = said(reader).splitlines()
    assert "request.failed" in lines[0]
    assert lines[1:] == ["    Traceback:", "      File", "    LookupError: \\x1b[2J"]


def test_a_traceback_that_another_event_has_just_shown_is_not_shown_again_on_a_console() -> None:
    first, second = "Traceback:\n  File\nKeyError: 'A'", "Traceback:\n  File\nKeyError: 'B'"
    with standard_error() as reader:
        log = a_log("console")
        log("application.failed", stage="import", traceback=first)
        log("request.failed", method="GET", path="/", traceback=first)
        log("request.failed", method="GET", path="/", traceback=second)
        log("request.failed", method="GET", path="/", traceback=second)
        below = [line for line in said(reader).splitlines() if line.startswith("    ")]
    told = [["    Traceback:", "      File", f"    KeyError: '{which}'"] for which in "AB"]
    assert below == [*told[0], told[0][-1], *told[1], *told[1]]


def test_a_console_shows_no_key_without_a_value() -> None:
    with standard_error() as reader:
        a_log("console")("application.failed", stage=None, traceback="boom")
        a_log("json")("application.failed", stage=None, traceback="boom")
        lines = said(reader).splitlines()
    assert "None" not in lines[0]
    assert lines[1] == "    boom"
    assert json.loads(lines[2])["stage"] is None


def test_auto_is_json_where_standard_error_is_no_terminal() -> None:
    with standard_error() as reader:
        a_log("auto")("server.stopped", pid=1)
        assert json.loads(said(reader))["event"] == "server.stopped"


def test_a_standard_error_that_nobody_reads_any_more_disturbs_nobody() -> None:
    with standard_error(reader_is_there=False):
        a_log()("server.stopped", pid=1)


def test_a_reader_that_stalls_loses_lines_and_is_told_how_many() -> None:
    with standard_error() as reader:
        log = a_log()
        fcntl.fcntl(reader, 1031, 8192)  # F_SETPIPE_SZ: two pages
        for _ in range(8):
            log("request.failed", method="GET", path="/", traceback="x" * 2000)
        first = said(reader)
        log("server.stopped", pid=1)
        rest = [json.loads(line) for line in said(reader).splitlines() if line.startswith("{")]
    assert first.count("request.failed") < 8
    assert [line["event"] for line in rest] == ["log.lost", "server.stopped"]
    assert rest[0]["lines"] == 8 - first.count("\n")


class Deceived(StderrLogger):
    """What poll(2) told is not so any more: another process has filled the pipe since."""

    def has_room(self) -> bool:
        return True


def test_a_pipe_that_another_process_has_filled_meanwhile_does_not_block() -> None:
    with standard_error() as reader:
        logger = Deceived()
        for _ in range(40):
            logger.msg("x" * 4000)
        said(reader)
        assert 0 < logger.lost < 40
        assert os.get_blocking(2), "it belongs to others, too"
        logger.msg("again")
        assert said(reader).endswith("again\n")
        logger.close()


def test_a_socket_that_another_process_has_filled_meanwhile_does_not_block() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, redirected(theirs.fileno()):
        logger = Deceived()
        for _ in range(400):
            logger.msg("x" * 4000)
        assert 0 < logger.lost < 400
        logger.close()


def test_a_standard_error_that_was_redirected_is_followed() -> None:
    with standard_error() as first:
        logger = StderrLogger()
        logger.msg("one")
        with standard_error() as second:
            logger.msg("two")
            assert said(second) == "two\n"
        logger.msg("three")
        assert said(first) == "one\nthree\n"
        logger.close()


def test_each_line_of_a_text_has_its_priority_in_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    with standard_error() as reader:
        told = os.fstat(2)
        monkeypatch.setenv("JOURNAL_STREAM", f"{told.st_dev}:{told.st_ino}")
        a_log("console")("request.failed", method="GET", path="/", traceback="Traceback:\nLookupError")
        a_log()("server.stopped", pid=1)
        lines = said(reader).splitlines()
    assert [line[:3] for line in lines] == ["<3>", "<3>", "<3>", "<6>"]
    assert json.loads(lines[3][3:])["event"] == "server.stopped"
    with standard_error() as reader:
        monkeypatch.setenv("JOURNAL_STREAM", "1:2")  # redirected since
        a_log()("server.stopped", pid=1)
        assert json.loads(said(reader))["event"] == "server.stopped"
