"""The smallest application: `supervisor-d run hello:app`, from this directory. A longer one: server_core.example."""


async def app(scope, receive, send):
    assert scope["type"] == "http"  # so it does not know lifespan, and is served without it
    body = b"Hello, world!\n"
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})
