"""A script that calls run() has children of its own, which the daemon leaves to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor_d.host.processes import descendants
from supervisor_d.host.processes.foreign_children import ForeignChildren
from tests.helpers.daemon import DEADLINE_S, environment

MASTER = """
import subprocess, threading
from supervisor_d.host.processes.process_table import ProcessTable
from supervisor_d.host.processes.orphans import Orphans
from supervisor_d.host.reactor import Reactor
from supervisor_d.vocabulary import Pid, Slot

class Facts(list):
    tell = list.append

codes, reaped, facts = [], [], Facts()
children = ProcessTable(Reactor(), lambda event, **_: reaped.append(event), {}, lambda *_: False)
orphans = Orphans(facts, children)
orphans.open(spare_foreign=True)

def start():
    for _ in range(300):
        codes.append(subprocess.Popen(["/bin/sh", "-c", "exit 7"]).wait())

threads = [threading.Thread(target=start) for _ in range(2)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    children.reap_all()
    orphans.worker_ended(Slot(1), Pid(1), 0)
print(set(codes), reaped, facts)
"""


def test_what_other_threads_start_is_never_reaped_nor_taken_for_an_orphan() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MASTER],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment(),
        check=False,
    )
    assert ran.stdout == "{7} [] []\n", ran.stderr


def test_our_own_are_reaped_whatever_the_kernel_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = ForeignChildren()
    with subprocess.Popen(["false"]) as ours:
        children.spare()  # a pid that was a foreign child's may be a worker's later
        os.waitid(os.P_PID, ours.pid, os.WEXITED | os.WNOWAIT)
        assert list(children.ended([])) == []
        monkeypatch.setattr(descendants, "PROC", tmp_path)
        assert [(pid, os.waitstatus_to_exitcode(status)) for pid, status in children.ended([ours.pid])] == [
            (ours.pid, 1)
        ]
    assert ours.pid not in children.pids()
