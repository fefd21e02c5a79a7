"""python-socketio, once as it comes, and once with clients that are disconnected when the worker drains."""

import asyncio

import socketio

server = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(server)


async def part(draining):
    await draining
    await server.eio.disconnect()


async def parting(scope, receive, send):
    draining = scope.get("extensions", {}).get("supervisor_d.draining")
    if scope["type"] == "lifespan" and draining is not None:
        parting.task = asyncio.create_task(part(draining))
    await app(scope, receive, send)
