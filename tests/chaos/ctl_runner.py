"""Runs `ctl` commands for the client: one JSON array of arguments a line in, one JSON verdict a line out.

A process of its own, because starting a program suspends the one that starts it (vfork(2)) for up to 60 ms on a busy
machine, and the load client would book that as a stall of the server's.
"""

from __future__ import annotations

import json
import subprocess
import sys


def main() -> None:
    for line in sys.stdin:
        command = [sys.executable, "-P", "-m", "supervisor_d", "ctl", *json.loads(line)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)


if __name__ == "__main__":
    main()
