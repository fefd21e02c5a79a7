"""What /proc tells of threads may be no UTF-8: names that the kernel cut in a character, names of files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.daemon import environment
from tests.helpers.deadline import GENEROUS_S

PROGRAM = """
import ctypes, mmap, os, sys, threading
from pathlib import Path
from server_core.runtime.page_release import shed
from server_core.worker.prefork.native_threads import described

with open(os.path.join(os.fsencode(sys.argv[1]), b"caf\\xe9.so"), "w+b") as file:
    file.truncate(mmap.PAGESIZE)
    mapped = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE)
mapped.read(1)
named, never, ids = threading.Event(), threading.Event(), []

def run():
    ctypes.CDLL(None).prctl(15, "consumer".encode() + "п".encode() * 8, 0, 0, 0)  # PR_SET_NAME
    ids.append(threading.get_native_id())
    named.set()
    never.wait()

threading.Thread(target=run, daemon=True).start()
named.wait()
print(ascii(described([Path(f"/proc/self/task/{ids[0]}")])), shed() > 0, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc of Linux")
def test_names_that_are_no_text_are_shown_as_well_as_can_be(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=GENEROUS_S, env=environment(), check=False)
    assert "native thread 'consumer\\u043f\\u043f\\u043f\\ufffd'" in asked.stdout, asked.stderr
    assert asked.stdout.endswith(" True\n")
