"""WSGI under the daemon: reloads and recycles under load lose nothing; status, log and incidents tell of threads."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from pathlib import Path

import pytest

from tests.helpers.daemon import DEADLINE_S, PID_APP, running

RELOADS = 20
CLIENTS = 4


class Load:
    """Clients that keep their connections and ask until they are told to stop; what was lost is counted."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._is_over = threading.Event()
        self.answered = 0
        self.lost: list[object] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=DEADLINE_S)
        while not self._is_over.is_set():
            try:
                connection.request("POST", "/a?b=c", b"body")
                answer = connection.getresponse()
                if (answer.status, answer.read()) != (201, b"POST |/a?b=c body"):
                    self.lost.append(answer.status)
                self.answered += 1
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)
                connection.close()
        connection.close()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_reloads_and_recycles_lose_nothing(threads: str) -> None:
    flags = ("--workers", "2", "--threads", threads, "--max-requests", "500")
    with running(*flags, app="tests.apps.loadable:wsgi") as daemon:
        daemon.heard.expect("worker.ready", times=2)
        load = Load(daemon.address())
        try:
            for _ in range(RELOADS):
                daemon.signal(signal.SIGHUP)
                daemon.heard.expect("reload.committed")
        finally:
            load.stop()
        assert load.lost == []
        assert load.answered


def test_the_status_tells_of_threads() -> None:
    with running("--workers", "1", "--threads", "4", app="tests.apps.loadable:wsgi") as daemon:
        daemon.heard.expect("worker.ready")
        assert "0 of 4 threads busy, 0 requests wait for one" in daemon.ctl("status").stdout
        (slot,) = json.loads(daemon.ctl("status", "--json").stdout)["slots"]
        assert slot["threads"] == {"most": 4, "busy": 0, "queued": 0}
        assert daemon.heard.named("application.detected")


def test_threads_for_an_application_that_has_no_use_for_them_are_told(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PID_APP)
    with running("--threads", "4", directory=tmp_path) as daemon:
        (told,) = daemon.heard.expect("setting.unused", setting="threads", value=4)
        assert told["reason"] == "the application is not WSGI"
    with running(directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        assert not daemon.heard.named("setting.unused")


STUCK = """
import threading

gate = threading.Event()

def report():
    gate.wait()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/report":
        report()
    if environ["PATH_INFO"] == "/free":
        gate.set()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""


def test_a_stuck_thread_is_an_incident_and_costs_that_thread_alone(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(STUCK)
    flags = ("--workers", "1", "--threads", "2", "--timeout", "1", "--request-timeout", "2")
    with running(*flags, directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready")
        before = daemon.pids()
        client = http.client.HTTPConnection(*daemon.address(), timeout=DEADLINE_S)
        client.request("GET", "/report")
        (stuck,) = daemon.heard.expect("thread.stuck")
        assert (stuck["path"], stuck["busy"], stuck["threads"]) == ("/report", 1, 2)
        (incident,) = daemon.heard.expect("worker.hung", kind="thread_stuck")
        assert str(incident["reason"]).startswith("1 of 2 threads busy, oldest ")
        assert str(incident["reason"]).endswith("/app.py:7 in report")
        assert "in report" in str(incident["stacks"])
        told = daemon.ctl("incidents").stdout
        assert ": thread_stuck" in told
        assert "1 of 2 threads busy" in told
        assert client.getresponse().status == 504
        (expired,) = daemon.heard.expect("request.expired")
        assert (expired["path"], expired["thread_goes_on"]) == ("/report", True)
        client.close()
        client.request("GET", "/free")
        assert client.getresponse().read() == b"done"
        client.close()
        assert daemon.pids() == before


DJANGO = """
import os
from django.conf import settings
settings.configure(SECRET_KEY="of a test", ALLOWED_HOSTS=["*"], ROOT_URLCONF="app", MIDDLEWARE=[],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.sqlite"}})
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path

imported_by = os.getpid()

def count(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 6 * 7")
        return HttpResponse(f"{cursor.fetchone()[0]} {imported_by} {os.getpid()}")

urlpatterns = [path("count", count)]
app = get_wsgi_application()
"""


@pytest.mark.parametrize("threads", ["1", "4"])
def test_django_is_preloaded_and_each_worker_has_threads_of_its_own(tmp_path: Path, threads: str) -> None:
    pytest.importorskip("django", reason="django is not installed")
    (tmp_path / "app.py").write_text(DJANGO)
    with running("--workers", "2", "--threads", threads, "--preload", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert not daemon.heard.named("zygote.refused")
        workers, served_by = set(daemon.pids().values()), set()
        for _ in range(20):
            client = http.client.HTTPConnection(*daemon.address(), timeout=DEADLINE_S)
            client.request("GET", "/count")
            answer, imported_by, pid = client.getresponse().read().decode().split()
            client.close()
            assert answer == "42"
            assert int(imported_by) not in workers
            served_by.add(int(pid))
        assert served_by <= workers
        daemon.signal(signal.SIGHUP)
        daemon.heard.expect("reload.committed")
