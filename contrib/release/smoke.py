"""Serve one request with what is installed, and stop: prints one line, or fails. Run by release.py."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import server_core.http1.connection

APP = "async def app(scope, receive, send):\n    await send({'type': 'http.response.start', 'status': 200})\n" + (
    "    await send({'type': 'http.response.body', 'body': b'served'})\n"
)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "smoke_app.py").write_text(APP)
        socket = os.path.join(directory, "control.sock")
        command = [os.path.join(sys.prefix, "bin", "supervisor-d"), "run", "smoke_app:app", "--bind", "127.0.0.1:0"]
        flags = ["--control-socket", socket, "--log-format", "json", "--workers", "1"]
        with subprocess.Popen([*command, *flags], cwd=directory, stderr=subprocess.PIPE, text=True) as daemon:
            assert daemon.stderr is not None
            address = ""
            for line in daemon.stderr:
                event = json.loads(line)
                address = event["address"] if event["event"] == "socket.bound" else address
                if event["event"] == "worker.ready":
                    break
            host, _, port = address.rpartition(":")
            client = http.client.HTTPConnection(host, int(port), timeout=30)
            client.request("GET", "/")
            body = client.getresponse().read()
            client.close()
            daemon.send_signal(signal.SIGTERM)
            daemon.stderr.read()
        if (body, daemon.returncode) != (b"served", 0):
            raise SystemExit(f"answered {body!r}, exit code {daemon.returncode}")
    form = "compiled" if server_core.http1.connection.__file__.endswith(".so") else "plain Python"
    print(f"supervisor-d {importlib.metadata.version('supervisor-d')}, {form}: served, exit code 0")


if __name__ == "__main__":
    main()
