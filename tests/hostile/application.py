"""An application whose requests attack the daemon from inside a worker; any other path answers with its pid."""

from __future__ import annotations

APP = """
import array, asyncio, contextlib, errno, fcntl, os, socket, struct

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

def keep_scribbling(garbage):
    # The worker's own beat would write over it before anybody looks.
    scribble("worker-", garbage)
    asyncio.get_running_loop().call_later(0.01, keep_scribbling, garbage)

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

def append(name):
    for fd in descriptors(name):
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)

def listeners():
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            listener = socket.socket(fileno=os.dup(fd))
            if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield listener

def attach(listener, *instructions):
    program = array.array("B", b"".join(struct.pack("=HBBI", *each) for each in instructions))
    address, size = program.buffer_info()
    listener.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HP", size // 8, address))

def alter(listener, what, *arguments):
    # What is changed here is changed in all processes.
    if what == "block":
        fcntl.fcntl(listener, fcntl.F_SETFL, fcntl.fcntl(listener, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    elif what == "tell":
        fcntl.fcntl(listener, fcntl.F_SETOWN, int(arguments[0]))
        fcntl.fcntl(listener, fcntl.F_SETFL, fcntl.fcntl(listener, fcntl.F_GETFL) | os.O_ASYNC)
    elif what == "backlog":
        listener.listen(0)
    elif what == "drop":
        attach(listener, (6, 0, 0, 0))
    elif what == "lock":
        attach(listener, (6, 0, 0, 0))
        listener.setsockopt(socket.SOL_SOCKET, 44, 1)
    else:
        listener.setsockopt(int(what), int(arguments[0]), bytes.fromhex(arguments[1]))

inheritor = None

def inherit(level, number, value):
    # A connection that is made while the option is set has it for good; what is put back hides who did it.
    global inheritor
    (listener,) = listeners()
    before = listener.getsockopt(int(level), int(number), 64)
    listener.setsockopt(int(level), int(number), bytes.fromhex(value))
    inheritor = socket.create_connection(listener.getsockname())
    listener.setsockopt(int(level), int(number), before)
    inheritor.setblocking(False)

async def ask_inheritor():
    if inheritor is None:
        return "another worker has it"
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(inheritor, b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    return (await loop.sock_recv(inheritor, 65536)).decode("latin-1").splitlines()[0]

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    _, command, *arguments = scope["path"].split("/")
    body = str(os.getpid())
    if command == "record":
        keep_scribbling(bytes.fromhex(arguments[0]))
    elif command == "loads":
        scribble("loads", bytes.fromhex(arguments[0]))
    elif command == "cut":
        body = cut("worker-") + " " + cut("loads")
    elif command == "append":
        append("worker-")
        append("loads")
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
        for listener in listeners():
            listener.shutdown(socket.SHUT_RDWR)
    elif command == "alter":
        for listener in listeners():
            alter(listener, *arguments)
    elif command == "inherit":
        inherit(*arguments)
    elif command == "inheritor":
        body = await ask_inheritor()
    elif command == "held":
        body = str(len(descriptors("worker-")))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})
"""

NAN = "000000000000f87f"
HUGE = "a0c8eb85f3cce17f"  # 1e308, little-endian
