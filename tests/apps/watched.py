"""Tells what was imported since the application was, of which a worker wants nothing; and on /all what is loaded."""

import sys

LATE = []


def notice(event, arguments):
    if event == "import":
        LATE.append(arguments[0])


sys.addaudithook(notice)


async def app(scope, receive, send):
    if scope["type"] == "http":
        told = sorted(sys.modules) if scope["path"] == "/all" else LATE
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": " ".join(told).encode()})
