"""Applications, and things that are none, for what the loader says about each."""


async def app(scope, receive, send):
    """ASGI 3."""


class Holder:
    app = staticmethod(app)


class Instance:
    async def __call__(self, scope, receive, send):
        """ASGI 3, as frameworks have it."""


instance = Instance()


def double(scope):
    """ASGI 2: a callable per scope."""

    async def instance(receive, send):
        scope["called_with"] = (receive, send)

    return instance


def wsgi(environ, start_response):
    """WSGI: tells what it was called with, in two parts."""
    body = environ["wsgi.input"].read()
    where = f"{environ['REQUEST_METHOD']} {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Host", environ["HTTP_HOST"])])
    yield where.encode()
    yield b" " + body


def make_for(settings: str) -> object:
    return settings


def make_app():
    return app


async def make_async():
    return app


def make_nothing():
    return None


def make_error():
    raise LookupError("no database")


def make_exit():
    raise SystemExit(5)


def four(scope, receive, send, more):
    return None


number = 42
