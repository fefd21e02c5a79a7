"""Applications for a worker's life, gated by the socket in $GATE: they tell where they are, and wait to be let on."""

import asyncio
import atexit
import ctypes
import gc
import os
import sys
import threading

AT_IMPORT = gc.get_threshold()[0]
if "OWN_GC_THRESHOLD" in os.environ:
    gc.set_threshold(int(os.environ["OWN_GC_THRESHOLD"]))


def tell(word):
    os.write(int(os.environ["GATE"]), word.encode())


def block():
    """Wait for the gate with the event loop blocked."""
    os.read(int(os.environ["GATE"]), 4096)


async def opened():
    """Wait for the gate, and let the event loop go on."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    fd = int(os.environ["GATE"])
    loop.add_reader(fd, waiter.set_result, None)
    try:
        await waiter
    finally:
        loop.remove_reader(fd)
    block()


async def answer(send, body, status=200):
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(scope, receive, send):
    path = scope["path"]
    if path == "/facts":
        state = scope.get("state")
        facts = [os.environ[name] for name in ("SUPERVISOR_D_SLOT", "SUPERVISOR_D_GENERATION")]
        await answer(send, " ".join([*facts, str(state), repr(sys.argv[1:])]).encode())
    elif path == "/hold":
        tell("holding")
        try:
            await opened()
        except asyncio.CancelledError:
            tell("cancelled")
            raise
        await answer(send, b"held")
    elif path == "/block":
        tell("blocking")
        block()
        await answer(send, b"blocked")
    elif path == "/held-interpreter":
        tell("holding the interpreter")
        ctypes.PyDLL(None).pause()  # C code that keeps the interpreter lock until a signal comes
        await answer(send, b"let go")
    elif path == "/garbage":
        await answer(send, f"{AT_IMPORT} {gc.get_threshold()[0]} {gc.get_freeze_count() > 0}".encode())
    elif path == "/print":
        print("x" * 100_000, flush=True)
        await answer(send, b"printed")
    elif path == "/leave":
        sys.exit(5)
    elif path == "/leave-later":
        asyncio.get_running_loop().call_soon(sys.exit, 5)
        await answer(send, b"soon")
    elif path == "/stop-loop":
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
        await answer(send, b"soon")
    elif path == "/thread":
        threading.Thread(target=block).start()
        await answer(send, b"a thread holds the process")
    elif path == "/fail":
        await answer(send, b"out of order", 503)
    elif path == "/raise":
        raise LookupError("no database")
    else:
        await answer(send, b"ok")


async def plain(scope, receive, send):
    assert scope["type"] == "http"
    await serve(scope, receive, send)


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        await serve(scope, receive, send)
        return
    await receive()
    scope["state"]["pool"] = "open"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    tell("shutdown")
    await send({"type": "lifespan.shutdown.complete"})


async def slow_start(scope, receive, send):
    await receive()
    tell("starting")
    try:
        await opened()
    except asyncio.CancelledError:
        tell("cancelled")
        raise
    await send({"type": "lifespan.startup.complete"})
    await receive()


async def slow_stop(scope, receive, send):
    if scope["type"] != "lifespan":
        await serve(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    tell("stopping")
    try:
        await opened()
    except asyncio.CancelledError:
        tell("cancelled")
        raise


async def slow_exit(scope, receive, send):
    """As app; an exit function waits for the gate."""
    if scope["type"] == "lifespan":
        atexit.register(tell, "exited")
        atexit.register(block)
        atexit.register(tell, "exiting")
        raise LookupError("no lifespan")
    await serve(scope, receive, send)


async def failing_start(scope, receive, send):
    await receive()
    raise LookupError("no database")


async def foreign_script(scope, receive, send):
    await receive()
    raise LookupError("\N{SNOWMAN}" * 100_000)
