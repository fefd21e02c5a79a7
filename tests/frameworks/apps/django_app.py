"""The routes of tests/frameworks in Django, its WebSocket by Channels."""

import asyncio
import json
from collections.abc import AsyncIterator

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of a test", INSTALLED_APPS=[], MIDDLEWARE=[])
django.setup()


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"hello {request.GET['name']}")


async def double(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"doubled": json.loads(request.body)["number"] * 2})


async def ticks(form: str) -> AsyncIterator[str]:
    number = 0
    while True:
        yield form.format(number)
        number += 1
        await asyncio.sleep(0.05)


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(ticks("{}\n"), content_type="text/plain")


async def events(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(ticks("data: {}\n\n"), content_type="text/event-stream")


waiting = 0
"""Streams that wait for what never happens, as those of server-sent events on a quiet queue."""


async def quiet() -> AsyncIterator[str]:
    global waiting
    waiting += 1
    try:
        yield "begun\n"
        await asyncio.Event().wait()
    finally:
        waiting -= 1


async def left_alone(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(quiet(), content_type="text/event-stream")


async def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(waiting))


def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    return HttpResponse(f"{request.POST['title']} {file.name} {len(file.read())}")


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "leave":
            await self.close(4001)
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)


urlpatterns = [
    path("hello", hello),
    path("double", double),
    path("stream", stream),
    path("events", events),
    path("quiet", left_alone),
    path("waiting", count),
    path("upload", upload),
]
app = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": URLRouter([path("ws", Echo.as_asgi())])})
