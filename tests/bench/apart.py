"""The same daemons with a listening socket for each worker: python -m tests.bench.apart APP PORT WORKERS.

What the kernel does instead of fair accept: so many sockets are bound to one address with SO_REUSEPORT (socket(7)), and
it deals connections out to them by a hash of the addresses. Each is given to a daemon with one worker.
"""

from __future__ import annotations

import socket
import subprocess
import sys

BACKLOG = 2048
"""As the daemon's own default."""


def main() -> None:
    app, port, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    socks = []
    for _ in range(workers):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", port))
        socks.append(sock)
    daemons = []
    for number, sock in enumerate(socks):
        sock.listen(BACKLOG)
        fd = sock.fileno()
        command = [sys.executable, "-m", "supervisor_d", "run", app, "--bind", f"fd://{fd}", "--workers", "1"]
        command += ["--control-socket", f"@bench-{port}-{number}"]
        daemons.append(subprocess.Popen(command, pass_fds=[fd]))
    for sock in socks:
        sock.close()
    for daemon in daemons:
        daemon.wait()


if __name__ == "__main__":
    main()
