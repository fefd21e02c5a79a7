"""What workers leave behind is signalled by the master, as far as it may."""

from __future__ import annotations

import subprocess
import sys

from tests.helpers.daemon import DEADLINE_S, environment
from tests.helpers.neighbour import needs_a_second_user

MASTER = """
import os, signal, subprocess
from supervisor_d.host.processes.process_table import ProcessTable
from supervisor_d.host.processes.orphans import Orphans
from supervisor_d.host.reactor import Reactor
from supervisor_d.vocabulary import OrphansFound, Pid, Slot

USER = 4242
reactor = Reactor()
orphans = Orphans(reactor, ProcessTable(reactor, lambda *_, **__: None, {}, lambda *_: False))
cat = {"args": ["cat"], "stdin": subprocess.PIPE}
root, ours = subprocess.Popen(**cat), subprocess.Popen(**cat, user=USER)
os.setresuid(USER, USER, 0)
orphans.worker_ended(Slot(1), Pid(1), -signal.SIGKILL)
(found,) = reactor.wait(None)
assert isinstance(found, OrphansFound)
print({each.pid == root.pid: each.is_another_users for each in found.orphans})
orphans.signal((root.pid, ours.pid), signal.SIGTERM)
print(ours.wait())
os.setresuid(0, 0, 0)
root.kill()
print(root.wait())
"""


@needs_a_second_user
def test_one_that_has_become_another_user_s_keeps_no_signal_from_the_others() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MASTER],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment(),
        check=False,
    )
    assert ran.stdout == "{True: True, False: False}\n-15\n-9\n", ran.stderr
