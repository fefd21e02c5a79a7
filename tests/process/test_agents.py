"""Agents, profilers and coverage around the daemon, or in the application: nothing is lost, and each sees the workers.

contrib/docs/DEBUGGING.md states what is tried here. None of them sends anything beyond loopback.
"""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

import pytest

from tests.helpers.daemon import DEADLINE_S, Daemon, running

FAILURES: Final = frozenset(
    ("worker.suspected", "worker.hung", "worker.crashed", "worker.killed", "worker.held", "master.faulted")
)

APP: Final = """
import os
{head}
async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        {begin}
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        {end}
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": f"{{os.getpid()}} {{bool({seen})}}".encode()}})
app = {wrapped}
"""
"""Answers with the worker's pid and whether the tool is at work in this request."""

DATADOG: Final = {
    "DD_AGENT_HOST": "127.0.0.1",
    "DD_TRACE_AGENT_PORT": "{port}",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}
NO_EXPORT: Final = tuple(f"--{kind}_exporter=none" for kind in ("metrics", "logs"))
NEW_RELIC: Final = "[newrelic]\nlicense_key = {}\napp_name = test\ndeveloper_mode = true\nlog_file = stderr\n".format(
    "0" * 40
)
"""In its developer mode the agent opens no connection."""
COVERAGE: Final = (
    "[run]\nparallel = true\npatch = subprocess\nsource = {directory}\ndata_file = {directory}/.coverage\n"
)


def script(name: str) -> str:
    """A console script of the environment that the tests run in."""
    return str(Path(sys.executable).parent / name)


@dataclass(frozen=True)
class Tool:
    """How a tool is started, and what the application has of it."""

    module: str
    around: Sequence[str] = ()
    """What goes before `-m supervisor_d`; the interpreter alone, if it is empty."""
    head: str = ""
    begin: str = "pass"
    end: str = "pass"
    seen: str = "True"
    wrapped: str = "answer"
    flags: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""
    """What is named as the reason why no template can be forked."""
    sends: str = ""
    """How the paths begin that it sends to, at {port}."""
    of_workers: str = ""
    """The pattern of a file that each worker leaves; `*` holds its pid."""
    of_master: str = ""
    """A file that the daemon's own process leaves."""


OPENTELEMETRY: Final = Tool(
    "opentelemetry.instrumentation.asgi",
    (script("opentelemetry-instrument"), "--traces_exporter=console", *NO_EXPORT, sys.executable),
    head="from opentelemetry import trace\nfrom opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware",
    seen="trace.get_current_span().is_recording()",
    wrapped="OpenTelemetryMiddleware(answer)",
    refusal="thread 'OtelBatchSpanRecordProcessor'",
)
DDTRACE: Final = Tool(
    "ddtrace",
    (script("ddtrace-run"), sys.executable),
    head="from ddtrace.trace import tracer\nfrom ddtrace.contrib.asgi import TraceMiddleware",
    seen="tracer.current_span()",
    wrapped="TraceMiddleware(answer)",
    env=DATADOG,
    sends="/v0.",
    refusal="native thread",
)
TOOLS: Final = {
    "opentelemetry": OPENTELEMETRY,
    "ddtrace": DDTRACE,
    "newrelic": Tool(
        "newrelic",
        (script("newrelic-admin"), "run-program", sys.executable),
        head="import newrelic.agent",
        begin="newrelic.agent.register_application(timeout=30.0)",
        seen="newrelic.agent.current_transaction()",
        wrapped="newrelic.agent.ASGIApplicationWrapper(answer)",
        env={"NEW_RELIC_CONFIG_FILE": "{directory}/newrelic.ini"},
        files={"newrelic.ini": NEW_RELIC},
    ),
    "sentry": Tool(
        "sentry_sdk",
        head="import sentry_sdk\nfrom sentry_sdk.integrations.asgi import SentryAsgiMiddleware\n"
        "sentry_sdk.init('http://key@127.0.0.1:{port}/1', traces_sample_rate=1.0, profiles_sample_rate=1.0)",
        seen="sentry_sdk.get_current_span()",
        wrapped="SentryAsgiMiddleware(answer)",
        flags=("--preload",),
        sends="/api/1/envelope/",
    ),
    "coverage": Tool(
        "coverage",
        (sys.executable, "-m", "coverage", "run", "--rcfile={directory}/coverage.ini"),
        seen="'coverage' in __import__('sys').modules",
        files={"coverage.ini": COVERAGE},
        of_workers=".coverage.*.pid*.*",
    ),
    "coverage with --preload": Tool(
        "coverage",
        (sys.executable, "-m", "coverage", "run", "--rcfile={directory}/coverage.ini"),
        flags=("--preload",),
        files={"coverage.ini": COVERAGE},
        of_workers=".coverage.*.pid*.*",
    ),
    "cProfile": Tool(
        "cProfile", (sys.executable, "-m", "cProfile", "-o", "{directory}/master.out"), of_master="master.out"
    ),
    "cProfile in workers": Tool(
        "cProfile",
        head="import cProfile\nprofile = cProfile.Profile()",
        begin="profile.enable()",
        end="profile.disable(), profile.dump_stats(f'{os.getpid()}.prof')",
        of_workers="*.prof",
    ),
    "tracemalloc in workers": Tool("tracemalloc", head="import tracemalloc", begin="tracemalloc.start()"),
    "SIGPROF in workers": Tool(
        "signal",
        head="import signal\nhits = []\ndef hit(*_): hits.append(1)\ndef burn():\n    while not hits: pass",
        begin="signal.signal(signal.SIGPROF, hit), signal.setitimer(signal.ITIMER_PROF, .01, .01)",
        end="signal.setitimer(signal.ITIMER_PROF, 0)",
        seen="not burn()",
    ),
    "faulthandler in workers": Tool(
        "faulthandler",
        head="import faulthandler, signal",
        begin="faulthandler.register(signal.SIGUSR1, open(f'{os.getpid()}.stacks', 'w'))",
        end="os.kill(os.getpid(), signal.SIGUSR1)",
        of_workers="*.stacks",
    ),
    "pyinstrument": Tool(
        "pyinstrument",
        (sys.executable, "-m", "pyinstrument", "-o", "{directory}/master.txt"),
        of_master="master.txt",
    ),
    "pyinstrument in workers": Tool(
        "pyinstrument",
        head="from pyinstrument import Profiler\ndef profiled(app):\n"
        "    async def run(scope, receive, send):\n"
        "        profiler = Profiler(async_mode='enabled')\n"
        "        with profiler:\n"
        "            await app(scope, receive, send)\n"
        "        open(f'{os.getpid()}.txt', 'w').write(profiler.output_text())\n"
        "    return run",
        wrapped="profiled(answer)",
        of_workers="*.txt",
    ),
    "yappi in workers": Tool(
        "yappi",
        head="import yappi",
        begin="yappi.start()",
        end="yappi.stop(), yappi.get_func_stats().save(f'{os.getpid()}.yappi', type='pstat')",
        of_workers="*.yappi",
    ),
    "memray": Tool("memray", (sys.executable, "-m", "memray", "run", "-o", "{directory}/m.bin"), of_master="m.bin"),
    "memray in workers": Tool(
        "memray",
        head="import memray",
        begin="tracker = memray.Tracker(f'{os.getpid()}.bin'); tracker.__enter__()",
        end="tracker.__exit__(None, None, None)",
        of_workers="*.bin",
    ),
    "viztracer in workers": Tool(
        "viztracer",
        head="from viztracer import VizTracer",
        begin="tracer = VizTracer(output_file=f'{os.getpid()}.json', verbose=0); tracer.start()",
        end="tracer.stop(), tracer.save()",
        of_workers="*.json",
    ),
}


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes whatever an agent sends."""

    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        """Standard error is pytest's."""


@contextmanager
def collecting() -> Iterator[int]:
    """The port of a collector."""
    Collector.paths.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its package
        return False


def cycle(daemon: Daemon) -> set[int]:
    """Two requests, a reload, a request, a stop; all in good order. The pids of all workers that there were."""
    daemon.heard.expect("worker.ready", times=2)
    answers = [daemon.get(), daemon.get()]
    with daemon.listening() as heard:
        daemon.signal(signal.SIGHUP)
        heard.expect("reload.committed")
        heard.expect("worker.exited", times=2)
    answers.append(daemon.get())
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.transcript()
    assert [status for status, _ in answers] == [200, 200, 200]
    assert {body.split()[1] for _, body in answers} == {"True"}, daemon.transcript()
    assert not [event for event in daemon.events if event["event"] in FAILURES], daemon.transcript()
    return {int(str(event["pid"])) for event in daemon.heard.named("worker.ready")}


def check(tool: Tool, directory: Path, flags: Sequence[str] = ()) -> Daemon:
    """A cycle with the tool, and what it leaves behind; the daemon, which has ended."""
    if not installed(tool.module):
        pytest.skip(f"{tool.module} is not installed")
    app = APP.format(head=tool.head, begin=tool.begin, end=tool.end, seen=tool.seen, wrapped=tool.wrapped)
    with collecting() as port:

        def filled(text: str) -> str:
            return text.replace("{directory}", str(directory)).replace("{port}", str(port))

        for name, text in {"app.py": app, **tool.files}.items():
            (directory / name).write_text(filled(text))
        *command, python = map(filled, tool.around or (sys.executable,))
        env = {name: filled(value) for name, value in tool.env.items()}
        flags = ("--workers", "2", *tool.flags, *flags)
        with running(*flags, directory=directory, env=env, command=command, python=python) as daemon:
            pids = cycle(daemon)
        assert any(path.startswith(tool.sends) for path in Collector.paths) or not tool.sends, Collector.paths
    if tool.of_workers:
        left = [path.name for path in directory.glob(tool.of_workers) if path.stat().st_size]
        assert [pid for pid in pids if not any(str(pid) in name for name in left)] == [], left
    assert not tool.of_master or (directory / tool.of_master).stat().st_size > 0
    return daemon


@pytest.mark.parametrize("name", TOOLS)
def test_no_request_is_lost_to_a_tool_and_it_sees_the_workers(tmp_path: Path, name: str) -> None:
    tool = TOOLS[name]
    daemon = check(tool, tmp_path)
    refused = daemon.heard.named("template.refused") + daemon.heard.named("zygote.refused")
    assert bool(refused) is bool(tool.refusal), daemon.transcript()
    assert all(tool.refusal in str(event["reason"]) for event in refused)
    if tool.module == "coverage":
        assert_covered(tmp_path)


def assert_covered(directory: Path) -> None:
    """The application's lines, of workers that a reload and a stop have ended."""
    for command in ("combine", "report"):
        asked = subprocess.run(
            [sys.executable, "-m", "coverage", command, f"--rcfile={directory / 'coverage.ini'}"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            cwd=directory,
            check=False,
        )
        assert asked.returncode == 0, asked.stdout + asked.stderr
    (row,) = [line for line in asked.stdout.splitlines() if line.split()[:1] == ["app.py"]]
    assert row.split()[-1] == "100%"


@pytest.mark.parametrize("tool", [OPENTELEMETRY, DDTRACE], ids=lambda tool: tool.module)
def test_an_agent_with_threads_is_named_where_the_application_is_to_be_forked(tmp_path: Path, tool: Tool) -> None:
    refused = check(tool, tmp_path, ["--preload"]).heard.named("zygote.refused")
    assert refused
    assert all(tool.refusal in str(event["reason"]) for event in refused)


def spied(*arguments: str) -> str:
    """What py-spy prints."""
    asked = subprocess.run(
        [script("py-spy"), *arguments], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    if asked.returncode and "ermission" in asked.stderr:
        pytest.skip(f"py-spy may not trace other processes here: {asked.stderr}")
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


@pytest.mark.skipif(not Path(script("py-spy")).exists(), reason="py-spy is not installed")
def test_py_spy_sees_master_and_workers_and_stops_none(tmp_path: Path) -> None:
    app = APP.format(head="", begin="pass", end="pass", seen="True", wrapped="answer")
    (tmp_path / "app.py").write_text(app)
    with running("--workers", "2", "--preload", "--timeout", "2", directory=tmp_path) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert "supervisor_d" in spied("dump", "--pid", str(daemon.pid))
        for pid in daemon.pids().values():
            assert "server_core" in spied("dump", "--pid", str(pid))
        out = tmp_path / "record.txt"
        spied("record", "--pid", str(daemon.pid), "--subprocesses", "--idle", "-d", "1", "-f", "raw", "-o", str(out))
        assert all(str(pid) in out.read_text() for pid in daemon.pids().values())
        cycle(daemon)
