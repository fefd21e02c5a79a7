"""The daemon as a whole, with real processes: what the master promises of itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.daemon import PID_APP, Daemon, environment, free_listener, running
from tests.helpers.deadline import GENEROUS_S

IDLE_RSS_LIMIT_BYTES = 40 * 1024 * 1024


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    return tmp_path


@pytest.fixture
def daemon(directory: Path) -> Iterator[Daemon]:
    with running("--workers", "2", directory=directory) as started:
        started.heard.expect("worker.ready", times=2)
        yield started


def test_it_serves_and_a_term_ends_it_with_zero(daemon: Daemon) -> None:
    status, body = daemon.get()
    assert status == 200
    assert int(body.split()[0]) in daemon.pids().values()
    with daemon.listening() as heard:
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert len(heard.named("worker.exited", exit_code=0)) == 2
        asked = heard.named("signal.received", signal="SIGTERM", sender_pid=os.getpid(), sender_uid=os.getuid())
        assert len(asked) == 1, daemon.transcript()
    assert daemon.events[-1]["event"] == "master.stopped"


@pytest.mark.parametrize(
    ("numbers", "fast"), [([signal.SIGINT], False), ([signal.SIGQUIT], True), ([signal.SIGINT, signal.SIGINT], True)]
)
def test_interrupt_is_graceful_twice_fast_and_quit_fast(daemon: Daemon, numbers: list[int], fast: bool) -> None:
    with daemon.listening() as heard:
        for count, number in enumerate(numbers, 1):
            daemon.signal(number)
            heard.expect("signal.received", times=count)
        assert daemon.wait() == 0
        assert heard.named("stop.requested", fast=fast), daemon.transcript()


def test_hup_replaces_every_worker_and_ttin_and_ttou_scale(daemon: Daemon) -> None:
    before = daemon.pids()
    with daemon.listening() as heard:
        daemon.signal(signal.SIGHUP)
        heard.expect("worker.ready", generation=2, times=2)
        heard.expect("reload.committed", generation=2)
        heard.expect("worker.exited", generation=1, times=2)
    assert not set(before.values()) & set(daemon.pids().values())
    with daemon.listening() as heard:
        daemon.signal(signal.SIGTTIN)
        heard.expect("fleet.scaled", old=2, new=3)
        heard.expect("worker.ready", generation=2)
        daemon.signal(signal.SIGTTOU)
        heard.expect("fleet.scaled", old=3, new=2)
        heard.expect("worker.exited")


def test_usr1_reopens_and_usr2_is_declined_and_neither_ends_it(daemon: Daemon) -> None:
    with daemon.listening() as heard:
        daemon.signal(signal.SIGUSR2)
        daemon.signal(signal.SIGUSR1)
        heard.expect("log.reopened")
        heard.expect("master.degraded", feature="upgrade (SIGUSR2)")
    assert daemon.get()[0] == 200


def test_a_killed_worker_is_replaced_and_the_other_is_left_alone(daemon: Daemon) -> None:
    before = daemon.pids()
    with daemon.listening() as heard:
        os.kill(before[1], signal.SIGKILL)
        (crashed,) = heard.expect("worker.crashed", slot=1, signal="SIGKILL")
        heard.expect("worker.ready", slot=1)
        assert str(crashed["reason"]) == "killed by SIGKILL"
    assert daemon.pids()[2] == before[2]


def test_a_dump_tells_the_stacks_of_a_worker_and_leaves_it_be(daemon: Daemon) -> None:
    before = daemon.pids()
    dumped = daemon.ctl("dump", "1")
    assert dumped.returncode == 0, dumped.stderr
    assert "File " in dumped.stdout
    with daemon.listening() as heard:
        assert not heard.named("worker.hung")
    assert daemon.pids() == before


def test_status_tells_what_there_is(daemon: Daemon) -> None:
    status = daemon.status()
    assert (status["state"], status["workers"]) == ("serving", {"target": 2, "ready": 2})
    host, port = daemon.address()
    listeners = status["listeners"]
    assert isinstance(listeners, list)
    assert [listener["address"] for listener in listeners] == [f"{host}:{port}"]
    slots = status["slots"]
    assert isinstance(slots, list)
    assert {slot["slot"]: slot["pid"] for slot in slots} == daemon.pids()
    assert all(slot["rss_bytes"] > 0 for slot in slots)


def test_links_of_kubernetes_are_no_settings_and_are_told_at_debug(directory: Path) -> None:
    linked = {"SUPERVISOR_D_PORT": "tcp://10.0.0.11:80", "SUPERVISOR_D_SERVICE_HOST": "10.0.0.11"}
    with running("--workers", "1", "--log-level", "debug", directory=directory, env=linked) as daemon:
        (told,) = daemon.heard.expect("environment.links_ignored")
        assert told["variables"] == ["SUPERVISOR_D_PORT", "SUPERVISOR_D_SERVICE_HOST"]
        assert told["level"] == "debug"
        daemon.heard.expect("worker.ready")


def test_the_application_that_cannot_boot_at_start_ends_it_with_three_and_its_traceback_last(directory: Path) -> None:
    (directory / "app.py").write_text("import nothing_of_this_name\n")
    with running("--workers", "2", directory=directory) as daemon:
        assert daemon.wait() == 3
        last = json.loads(daemon.lines[-1])
        assert last["event"] == "application.failed"
        assert "No module named 'nothing_of_this_name'" in last["traceback"].splitlines()[-1]
        assert "master.stopped" in [event["event"] for event in daemon.events]


def test_on_a_console_the_traceback_is_the_last_thing_printed(directory: Path) -> None:
    (directory / "app.py").write_text("import nothing_of_this_name\n")
    flags = ["--log-format", "console", "--control-socket", "off", "--bind", "127.0.0.1:0"]
    ended = subprocess.run(
        [sys.executable, "-m", "supervisor_d", "run", "app:app", *flags],
        capture_output=True, text=True, timeout=GENEROUS_S, cwd=directory, env=environment(), check=False,
    )  # fmt: skip
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[-1].strip() == "ModuleNotFoundError: No module named 'nothing_of_this_name'"
    assert ended.stderr.count("No module named") == ended.stderr.count("Traceback") == 1


def test_a_busy_address_ends_it_with_four_and_says_where_it_was_told(directory: Path) -> None:
    with free_listener() as listener:
        bind = "{}:{}".format(*listener.getsockname())
        with running(directory=directory, bind=bind) as daemon:
            assert daemon.wait() == 4
            assert (
                f"{bind}: already in use; stop what listens there, or choose another (bind, from flag --bind)"
                in daemon.transcript()
            )


def test_a_descriptor_that_is_no_listener_ends_it_with_four(directory: Path) -> None:
    with (
        socket.socket() as unconnected,
        running(directory=directory, bind=f"fd://{unconnected.fileno()}", pass_fds=[unconnected.fileno()]) as daemon,
    ):
        assert daemon.wait() == 4
        assert "is a socket, but not a listening one" in daemon.transcript()


def test_a_listener_handed_in_as_descriptor_zero_serves(directory: Path) -> None:
    with free_listener() as listener:
        host, port = listener.getsockname()
        with running(directory=directory, bind="fd://0", stdin=listener.fileno()) as daemon:
            daemon.heard.expect("worker.ready")
            (inherited,) = daemon.heard.expect("socket.inherited")
            assert inherited["address"] == f"{host}:{port}"
            with socket.create_connection((host, port), timeout=GENEROUS_S) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_it_starts_with_all_standard_streams_closed(directory: Path, tmp_path: Path) -> None:
    """No line can be read then, so the service itself, and its end on a signal, are the evidence."""
    place = tmp_path / "http.sock"
    command = (
        f'exec "{sys.executable}" -m supervisor_d run app:app --bind unix:{place} --control-socket off <&- >&- 2>&-'
    )
    process = subprocess.Popen(["/bin/sh", "-c", command], cwd=directory, env=environment(), start_new_session=True)
    try:
        assert _get_unix(place).startswith(b"HTTP/1.1 200")
        names = {os.readlink(f"/proc/{process.pid}/fd/{stream}") for stream in (0, 1, 2)}
        assert names == {"/dev/null"}
        process.terminate()
        assert process.wait(timeout=GENEROUS_S) == 0
        assert not place.exists()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _get_unix(place: Path) -> bytes:
    """One request, as soon as there is something to connect to; inotify would need ctypes, so connect(2) is asked."""
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            if client.connect_ex(str(place)) == 0:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return client.recv(100)
    raise AssertionError(f"nothing listens at {place}")


@pytest.fixture
def idle_daemon(directory: Path) -> Iterator[Daemon]:
    """One that has done all that a master does of itself."""
    with running("--workers", "2", "--log-level", "debug", directory=directory) as started:
        started.heard.expect("worker.ready", times=2)
        started.heard.expect("master.completed")
        started.heard.expect("template.ended")  # reaped, which on a busy machine may be after all else
        yield started


def test_an_idle_master_makes_no_system_call(idle_daemon: Daemon, tmp_path: Path) -> None:
    daemon = idle_daemon
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    tracer = subprocess.Popen(
        [strace, "-f", "-s", "300", "-o", str(trace), "-p", str(daemon.pid)], stderr=subprocess.PIPE
    )
    try:
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        if b"attached" not in attached:
            pytest.skip(f"strace cannot attach here: {attached!r}")
        reopen(daemon)  # by then all is done that follows from the second worker's readiness
        assert daemon.get("/slow")[0] == 200  # meanwhile both workers beat several times
        reopen(daemon)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        assert tracer.stderr is not None
        tracer.stderr.close()
    calls = trace.read_text().splitlines()
    began = 1 + next(index for index, line in enumerate(calls) if "log.reopened" in line)
    fence = next(index for index, line in enumerate(calls) if index >= began and "read(" in line)
    idle = [line for line in calls[began:fence] if "epoll_wait" not in line and "restart_syscall" not in line]
    assert idle == [], "\n".join(calls)
    assert fence - began <= 2, "\n".join(calls)


def reopen(daemon: Daemon) -> None:
    """Something that the master does at once, and tells."""
    with daemon.listening() as heard:
        daemon.signal(signal.SIGUSR1)
        heard.expect("log.reopened")


def test_an_idle_master_stays_small(idle_daemon: Daemon) -> None:
    rss = psutil.Process(idle_daemon.pid).memory_info().rss
    assert rss < IDLE_RSS_LIMIT_BYTES, f"{rss / 1024 / 1024:.1f} MiB"


def test_workers_of_a_killed_master_go_by_themselves_and_a_new_one_starts_on_the_address(directory: Path) -> None:
    with free_listener() as probe:
        bind = "{}:{}".format(*probe.getsockname())
    with running("--workers", "2", directory=directory, bind=bind) as first:
        first.heard.expect("worker.ready", times=2)
        workers = [psutil.Process(pid) for pid in first.pids().values()]
        first.signal(signal.SIGKILL)
        with running(directory=directory, bind=bind) as second:
            second.heard.expect("worker.ready")
            assert second.get()[0] == 200
            gone, alive = psutil.wait_procs(workers, timeout=GENEROUS_S)
            assert (len(gone), alive) == (2, [])


def test_as_pid_one_it_reaps_strangers_and_ends_on_term(directory: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("needs unshare and root")
    command = [unshare, "--pid", "--fork", "--kill-child", "--mount-proc"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:  # in a chroot, / is no mount point, and its propagation cannot be changed (unshare(1))
        pytest.skip(f"no pid namespace with a /proc of its own here: {probe.stderr.strip()}")
    (directory / "app.py").write_text(PID_APP + "\nos.system('(:; exec sleep 0) & (exit 5) &')\n")
    with running(directory=directory, command=command) as daemon:
        (started,) = daemon.heard.expect("master.started")
        if started["pid"] != 1:
            pytest.skip("unshare made no pid namespace here")
        daemon.heard.expect("worker.ready")
        daemon.heard.expect("process.reaped")
        (master,) = psutil.Process(daemon.pid).children()
        master.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_log_that_nobody_reads_does_not_stop_the_master(directory: Path) -> None:
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory() as place:
        control = f"{place}/control.sock"
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor_d", "run", "app:app", "--bind", "127.0.0.1:0", "--log-format", "json",
             "--control-socket", control],
            cwd=directory, env=environment(), stderr=writer, start_new_session=True,
        )  # fmt: skip
        try:
            data = b""
            while b"worker.ready" not in data:
                data += os.read(reader, 65536)
            os.set_blocking(writer, False)
            filled = _fill(writer)
            os.set_blocking(writer, True)
            assert filled > 0
            ask = [sys.executable, "-m", "supervisor_d", "ctl", "--socket", control]
            for target in ("2", "1"):
                scaled = subprocess.run([*ask, "scale", target], env=environment(), timeout=GENEROUS_S, check=False)
                assert scaled.returncode == 0
            process.terminate()
            assert process.wait(timeout=GENEROUS_S) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            os.close(reader)
            os.close(writer)


def _fill(writer: int) -> int:
    written = 0
    while True:
        try:
            written += os.write(writer, b"x" * 4096)
        except BlockingIOError:
            return written
