"""Who descends from a process, told from /proc."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from supervisor_d.host.processes import descendants
from supervisor_d.vocabulary import Pid


def test_children_and_their_children_are_told_with_their_session() -> None:
    command = ["sh", "-c", "sleep 100000 & echo $!; wait"]  # a cat would read /dev/null there, and end
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        found = {each.pid: each for each in descendants.descendants_of(os.getpid())}
        assert found[Pid(shell.pid)].name == "sh"
        assert found[Pid(child)].session == shell.pid
        children = {each.pid for each in descendants.children_of(os.getpid())}
        assert shell.pid in children
        assert child not in children
        shell.kill()
        os.kill(child, signal.SIGKILL)


def test_a_variable_is_what_the_program_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLOT", raising=False)
    environ, pipe = {"XSLOT": "1", "SLOT": "7=\udcff", "SLOTS": "2"}, subprocess.PIPE
    with subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, env=environ, bufsize=0) as cat:
        assert cat.stdin is not None
        assert cat.stdout is not None
        cat.stdin.write(b"\n")
        assert cat.stdout.read(1) == b"\n"  # execve(2) closes descriptors, which Popen waits for, before this is there
        assert descendants.variable_of(cat.pid, "SLOT") == "7=\udcff"
        assert descendants.variable_of(cat.pid, "LOT") is None
    assert descendants.variable_of(cat.pid, "SLOT") is None


def test_a_process_that_is_gone_has_none() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert not list(descendants.descendants_of(process.pid))


def test_without_the_kernels_lists_every_process_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid, parent in ((7, 1), (8, 7), (9, 8)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (b) c) S {parent} 7 {pid} 0 -1 {'0 ' * 13}{pid}00")
    (tmp_path / "self").mkdir()
    monkeypatch.setattr(descendants, "PROC", tmp_path)
    assert [(each.pid, each.name, each.session) for each in descendants.descendants_of(7)] == [
        (8, "a (b) c", 8),
        (9, "a (b) c", 9),
    ]
