"""A worker's interpreter is started as the master's was."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from server_core.contract.search import BEGIN
from supervisor_d.host.processes.interpreter import FLAGS, worker_command, worker_environment

SHOW = f"""
import json, sys
from supervisor_d.host.processes.interpreter import interpreter_flags
set_flags = {{name: getattr(sys.flags, name) for name in {list(FLAGS)}}}
print(json.dumps([interpreter_flags(), set_flags, sys._xoptions, sys.warnoptions]))
"""


def run(*flags: str) -> object:
    return json.loads(subprocess.run([sys.executable, *flags, "-c", SHOW], capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    "flags",
    [[], ["-O"], ["-OO", "-B"], ["-X", "importtime=1", "-s"], ["-W", "error::DeprecationWarning", "-b"], ["-X", "dev"]],
)
def test_flags_given_to_the_master_make_the_same_interpreter_again(flags: list[str]) -> None:
    first = run(*flags)
    assert isinstance(first, list)
    again = run(*first[0])
    assert isinstance(again, list)
    assert again[1:3] == first[1:3]
    assert set(again[3]) == set(first[3])


def test_the_command_is_the_contracts() -> None:
    command = worker_command(17)
    assert command[:2] == [sys.executable, "-P"]
    assert command[-4:] == ["-c", BEGIN, "server_core.worker", "17"]


def test_what_systemd_says_to_the_master_is_kept_from_the_workers() -> None:
    environ = {
        "NOTIFY_SOCKET": "/run/n",
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
        "LISTEN_FDNAMES": "http",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "HOME": "/root",
    }
    assert worker_environment(environ) == {"HOME": "/root"}


def test_a_worker_that_starts_a_daemon_does_not_lend_its_slot_to_the_workers() -> None:
    environ = {"SUPERVISOR_D_SLOT": "1", "SUPERVISOR_D_GENERATION": "7", "HOME": "/root"}
    assert worker_environment(environ) == {"HOME": "/root"}
