"""An application whose requests attack the daemon from inside a worker; any other path answers with its pid."""

from __future__ import annotations

APP = """
import contextlib, errno, os, socket

def descriptors(name):
    # One of each file: a map has a descriptor of its own.
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{entry}").startswith(f"/memfd:{name}"):
                found[os.fstat(int(entry)).st_ino] = int(entry)
        except OSError:
            pass
    return list(found.values())

def scribble(name, garbage):
    for fd in descriptors(name):
        size = os.fstat(fd).st_size
        os.pwrite(fd, (garbage * (size // len(garbage) + 1))[:size], 0)

def cut(name):
    told = []
    for fd in descriptors(name):
        for size in (0, 1 << 24):
            try:
                os.ftruncate(fd, size)
                told.append("cut")
            except OSError as error:
                told.append(errno.errorcode[error.errno])
    return " ".join(told)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    _, command, *arguments = scope["path"].split("/")
    body = str(os.getpid())
    if command == "record":
        scribble("worker-", bytes.fromhex(arguments[0]))
    elif command == "loads":
        scribble("loads", bytes.fromhex(arguments[0]))
    elif command == "cut":
        body = cut("worker-") + " " + cut("loads")
    elif command == "flood":
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                pipe = socket.socket(fileno=os.dup(fd))
            except OSError:
                continue
            if pipe.family == socket.AF_UNIX and pipe.type == socket.SOCK_SEQPACKET:
                with contextlib.suppress(OSError):
                    pipe.send(b'recycle {"reason":"x"}\\n' * 5000, socket.MSG_DONTWAIT)
    elif command == "deafen":
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                listener = socket.socket(fileno=os.dup(fd))
            except OSError:
                continue
            if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listener.shutdown(socket.SHUT_RDWR)
    elif command == "held":
        body = str(len(descriptors("worker-")))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
"""

NAN = "000000000000f87f"
HUGE = "a0c8eb85f3cce17f"  # 1e308, little-endian
