"""The worker process, with the test as its master: what it says, in which order, and how each life ends."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server_core.contract.messages import MESSAGE_LIMIT, encode
from server_core.contract.scoreboard import STACKS_SIGNAL
from server_core.exit_codes import EXIT_BOOT_FAILED
from server_core.runtime.early_signals import UNHEEDED
from tests.helpers.worker import DEADLINE_S, ROOT, spawned, until

APP = "tests.apps.gated:app"
both_loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def events(stderr: str) -> list[str]:
    return [json.loads(line)["event"] for line in stderr.splitlines()]


# Boot


@both_loops
def test_it_boots_serves_and_drains_saying_each_step(loop: str) -> None:
    with spawned(APP, slot=3, generation=7, loop=loop) as worker:
        worker.serving()
        assert worker.get("/facts") == (200, "3 7 {'supervisor_d.draining': {}, 'pool': 'open'} []")
        worker.tell("drain", {"timeout_s": 10, "final": True})
        worker.expect("draining")
        worker.gate.expect("shutdown")
        worker.expect("finished", "drained")
        assert worker.exit_code() == 0


def test_it_does_not_accept_before_it_is_told_to_serve() -> None:
    with spawned(APP) as worker:
        worker.expect("booted", "started", "ready")
        with worker.begin("/facts") as waiting:
            assert worker.fence().connections == 0
            worker.tell("serve")
            assert waiting.answer()[0] == 200


def test_a_parked_worker_accepts_no_more_until_it_is_told_to_serve_again() -> None:
    with spawned(APP) as worker:
        worker.serving()
        assert worker.get("/")[0] == 200
        worker.tell("park")
        worker.expect("parked")
        with worker.begin("/") as waiting:
            assert worker.fence().requests_total == 1
            worker.tell("serve")
            assert waiting.answer()[0] == 200


@pytest.mark.parametrize(("settings", "threshold"), [({}, gc.get_threshold()[0]), ({"gc_threshold": 12345}, 12345)])
def test_the_collector_is_held_back_during_the_import_only_and_what_was_imported_is_frozen(
    settings: dict[str, object], threshold: int
) -> None:
    with spawned(APP, **settings) as worker:
        assert worker.serving().get("/garbage") == (200, f"50000 {threshold} True")


def test_a_collectors_threshold_that_the_application_sets_itself_is_kept() -> None:
    with spawned(APP, environ={"OWN_GC_THRESHOLD": "4321"}) as worker:
        assert worker.serving().get("/garbage") == (200, "50000 4321 True")


@both_loops
@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_worker_imports_nothing_once_the_application_is_there(loop: str, http: str) -> None:
    with spawned("tests.apps.watched:app", loop=loop, http=http) as worker:
        assert worker.serving().get("/") == (200, "")
        assert worker.get("/") == (200, "")
        loaded = worker.get("/all")[1].split()
    assert {"server_core.server.server", "asyncio"} <= set(loaded), "the application does not tell"
    assert {name.partition(".")[0] for name in loaded} & {"structlog", "click", "psutil", "supervisor_d"} == set()


def test_an_unknown_order_is_passed_over() -> None:
    with spawned(APP) as worker:
        worker.serving().tell("dance", {"how": "tango"})
        worker.tell("reopen")
        assert worker.get("/")[0] == 200


@pytest.mark.parametrize(
    ("app", "settings", "stage", "said"),
    [
        ("tests.apps.absent:app", {}, "import", "no module named 'tests.apps.absent'"),
        ("tests.apps.gated:ap", {}, "import", "did you mean 'app'"),
        ("tests.apps.loadable:number", {}, "import", "must be callable"),
        ("tests.apps.loadable:make_error()", {}, "import", "LookupError: no database"),
        ("tests.apps.loadable", {}, "import", "must be module:attribute"),
        ("tests.apps.gated:failing_start", {}, "lifespan", "LookupError: no database"),
        ("tests.apps.gated:plain", {"lifespan": "on"}, "lifespan", "does not support it"),
        (APP, {"health_path": "/fail"}, "probe", "GET /fail was answered 503, not 2xx or 3xx: out of order"),
        (APP, {"health_path": "/raise"}, "probe", "LookupError: no database"),
        (APP, {"health_path": "/leave"}, "probe", "SystemExit: 5"),
    ],
)
def test_what_cannot_boot_says_why_and_exits_with_the_code_for_it(
    app: str, settings: dict[str, object], stage: str, said: str
) -> None:
    with spawned(app, **settings) as worker:
        worker.expect("booted")
        if stage == "probe":
            worker.expect("started")
        failed = worker.expect("failed")
        assert failed.fields["stage"] == stage
        assert said in str(failed.fields["traceback"])
        assert worker.exit_code() == EXIT_BOOT_FAILED
        assert "Traceback" not in worker.stderr  # the master tells it, once


def test_a_failed_probe_lets_the_application_shut_down() -> None:
    with spawned(APP, health_path="/fail") as worker:
        worker.expect("booted", "started", "failed")
        worker.gate.expect("shutdown")


def test_a_sound_probe_comes_before_ready() -> None:
    with spawned(APP, health_path="/hold?deep=1") as worker:
        worker.expect("booted", "started")
        worker.gate.expect("holding")
        worker.gate.open()
        worker.expect("ready")


def test_a_traceback_too_long_for_one_message_keeps_its_end() -> None:
    with spawned("tests.apps.gated:foreign_script") as worker:
        worker.expect("booted")
        failed = worker.expect("failed")
        assert str(failed.fields["traceback"]).endswith("\N{SNOWMAN}" * 1000)
        assert len(encode("failed", failed.fields)) <= MESSAGE_LIMIT


def test_a_boot_failure_that_a_living_master_does_not_want_keeps_its_exit_code_and_is_silent() -> None:
    with spawned("tests.apps.gated_import:nothing") as worker:
        worker.expect("booted")
        worker.gate.expect("importing")
        worker.hang_up()
        worker.gate.open()
        assert worker.exit_code() == EXIT_BOOT_FAILED
        assert worker.stderr == ""  # test_pipe.py: on standard error only where no master lives


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"serve\n", "must be the first message, not serve"),
        (b'spec {"slot": 1}\n', "spec: 'listeners'"),
        (b'spec {"listeners": [], "settings": {"tempo": 1}}\n', "unexpected keyword argument 'tempo'"),
    ],
)
def test_a_spec_that_is_none_is_refused(line: bytes, said: str) -> None:
    with spawned(APP, spec_line=line) as worker:
        failed = worker.expect("failed")
        assert failed.fields["stage"] == "spec"
        assert said in str(failed.fields["traceback"])
        assert worker.exit_code() == EXIT_BOOT_FAILED


def test_a_first_message_that_is_no_message_ends_the_worker_quietly() -> None:
    with spawned(APP, spec_line=b"spec not json\n") as worker:
        worker.expect_end()
        assert worker.exit_code() == 0


@pytest.mark.parametrize("arguments", [[], ["x"], ["0"], ["999"]])
def test_started_by_hand_it_says_what_serves_without_a_master(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server_core.worker", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 2
    assert b"python -m server_core APP" in done.stderr


# Drain


@both_loops
def test_a_drain_lets_requests_finish_before_the_lifespan_shutdown(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        with worker.begin("/hold") as held:
            worker.gate.expect("holding")
            worker.tell("drain", {"timeout_s": 15, "final": False})
            worker.expect("draining")
            worker.gate.open()
            assert held.answer() == (200, "held")
        worker.gate.expect("shutdown")
        worker.expect("finished", "drained")
        assert worker.exit_code() == 0


def test_requests_past_their_part_of_the_budget_are_given_up_and_lifespan_still_shuts_down() -> None:
    with spawned(APP) as worker:
        worker.serving()
        with worker.begin("/hold"):
            worker.gate.expect("holding")
            worker.tell("drain", {"timeout_s": 0.2, "final": True})
            worker.gate.expect("cancelled")
            worker.gate.expect("shutdown")
            worker.expect("draining", "finished", "drained")
            assert worker.exit_code() == 0


def test_a_final_drain_answers_who_waits_in_the_accept_queue_and_then_refuses() -> None:
    with spawned(APP) as worker:
        worker.serving()
        worker.tell("park")
        worker.expect("parked")
        with worker.begin("/") as waiting:
            worker.tell("drain", {"timeout_s": 15, "final": True})
            worker.expect("draining")
            worker.listener.close()  # the test's own copy, as the master closes its
            assert waiting.answer()[0] == 200
        with pytest.raises(ConnectionRefusedError):
            worker.get("/")
        worker.expect("finished", "drained")


@pytest.mark.parametrize("app", ["tests.apps.gated:slow_start", "tests.apps.gated_import:app"])
def test_a_drain_while_booting_undoes_what_was_begun(app: str) -> None:
    with spawned(app) as worker:
        worker.expect("booted")
        worker.gate.expect("starting" if app.endswith("slow_start") else "importing")
        worker.tell("drain", {"timeout_s": 5, "final": False})
        if app.endswith("slow_start"):
            worker.gate.expect("cancelled")
        else:
            worker.gate.open()
        while worker.expect_any().verb != "draining":
            pass  # a boot that was quicker than the order may have said started and ready
        worker.expect("finished", "drained")
        assert worker.exit_code() == 0


# Signals


@both_loops
def test_signals_of_a_terminal_or_an_operator_do_not_touch_a_worker(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        for number in (
            signal.SIGHUP,
            signal.SIGINT,
            signal.SIGQUIT,
            signal.SIGTTIN,
            signal.SIGTTOU,
            signal.SIGUSR1,
            signal.SIGUSR2,
        ):
            worker.signal(number)
        assert worker.get("/") == (200, "ok")
        worker.tell("drain", {"timeout_s": 5, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


@both_loops
def test_signals_that_come_at_one_stroke_leave_a_worker_s_memory_alone(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        for _ in range(3):
            worker.signal(signal.SIGSTOP)
            os.waitid(os.P_PID, worker.process.pid, os.WSTOPPED)
            for number in (*UNHEEDED, signal.SIGTERM, STACKS_SIGNAL):
                worker.signal(number)
            worker.signal(signal.SIGCONT)
            assert worker.get("/") == (200, "ok")
        worker.expect("recycle")
        worker.tell("drain", {"timeout_s": 5, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


@both_loops
def test_sigterm_while_serving_asks_once_to_be_replaced_and_serves_on(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        assert worker.get("/")[0] == 200
        worker.signal(signal.SIGTERM)
        assert worker.expect("recycle").fields == {"reason": "SIGTERM to the worker itself"}
        worker.signal(signal.SIGTERM)
        assert worker.get("/")[0] == 200
        worker.tell("drain", {"timeout_s": 5, "final": False})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


@both_loops
def test_hurry_in_a_drain_gives_up_the_requests_and_still_shuts_down(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        with worker.begin("/hold"):
            worker.gate.expect("holding")
            worker.tell("drain", {"timeout_s": 600, "final": False})
            worker.expect("draining")
            worker.tell("hurry")
            worker.gate.expect("cancelled")
            worker.gate.expect("shutdown")
            worker.expect("finished", "drained")
            assert worker.exit_code() == 0


@both_loops
def test_signals_in_a_drain_take_nothing_from_a_request(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        with worker.begin("/hold") as held:
            worker.gate.expect("holding")
            worker.signal(signal.SIGTERM)
            worker.expect("recycle")
            worker.tell("drain", {"timeout_s": 600, "final": True})
            worker.expect("draining")
            for number in (signal.SIGTERM, *UNHEEDED, signal.SIGTERM):
                worker.signal(number)
            worker.fence()
            worker.gate.open()
            assert held.answer() == (200, "held")
        worker.gate.expect("shutdown")
        worker.expect("finished", "drained")
        assert worker.exit_code() == 0


def test_sigterm_in_a_lifespan_shutdown_leaves_it_alone() -> None:
    with spawned("tests.apps.gated:slow_stop") as worker:
        worker.serving()
        worker.tell("drain", {"timeout_s": 600, "final": False})
        worker.expect("draining")
        worker.gate.expect("stopping")
        worker.signal(signal.SIGTERM)
        worker.fence()
        worker.gate.open()
        worker.expect("finished", "drained")
        assert worker.exit_code() == 0
        assert "cut short" not in worker.stderr


def test_hurry_in_a_lifespan_shutdown_that_hangs_gives_it_up() -> None:
    with spawned("tests.apps.gated:slow_stop") as worker:
        worker.serving()
        worker.tell("drain", {"timeout_s": 600, "final": False})
        worker.expect("draining")
        worker.gate.expect("stopping")
        worker.tell("hurry")
        worker.gate.expect("cancelled")
        worker.expect("finished", "drained")
        assert worker.exit_code() == 0
        assert "cut short" in worker.stderr


def test_a_lifespan_shutdown_past_the_budget_is_given_up_and_logged() -> None:
    with spawned("tests.apps.gated:slow_stop") as worker:
        worker.serving()
        worker.tell("drain", {"timeout_s": 0.1, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0
        assert "lifespan.shutdown_failed" in events(worker.stderr)


def test_sigterm_before_it_serves_ends_it_in_good_order() -> None:
    with spawned(APP) as worker:
        worker.expect("booted", "started", "ready")
        worker.signal(signal.SIGTERM)
        worker.gate.expect("shutdown")
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


def test_sigterm_during_lifespan_startup_cancels_it() -> None:
    with spawned("tests.apps.gated:slow_start") as worker:
        worker.expect("booted")
        worker.gate.expect("starting")
        worker.signal(signal.SIGTERM)
        worker.gate.expect("cancelled")
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


def test_sigterm_during_the_import_interrupts_it() -> None:
    with spawned("tests.apps.gated_import:app") as worker:
        worker.expect("booted")
        worker.gate.expect("importing")
        worker.signal(signal.SIGTERM)
        worker.expect("drained")
        worker.expect_end()
        assert worker.exit_code() == 0
        assert "Traceback" not in worker.stderr


@both_loops
def test_sigterm_does_not_kill_a_worker_whose_interpreter_ends(loop: str) -> None:
    """An exit function waits for the gate: SIGTERM comes while it does, and the end goes on behind it."""
    with spawned("tests.apps.gated:slow_exit", loop=loop) as worker:
        worker.serving()
        worker.tell("drain", {"timeout_s": 5, "final": True})
        worker.expect("draining", "finished", "drained")
        worker.gate.expect("exiting")
        worker.signal(signal.SIGTERM)
        worker.gate.open()
        worker.gate.expect("exited")
        assert worker.exit_code() == 0


# The master's death


@both_loops
def test_without_a_master_it_finishes_what_it_has_frees_the_address_and_exits(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        with worker.begin("/hold") as held:
            worker.gate.expect("holding")
            worker.hang_up()
            until(lambda: "worker.orphaned" in worker.stderr)
            with socket.socket() as successor:
                successor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                until(lambda: binds(successor, worker.address))
            worker.gate.open()
            assert held.answer() == (200, "held")
        worker.gate.expect("shutdown")
        assert worker.exit_code() == 0


def binds(sock: socket.socket, address: tuple[str, int]) -> bool:
    try:
        sock.bind(address)
        sock.listen()
    except OSError:
        return False
    return True


def test_without_a_master_a_blocked_worker_is_ended_by_its_second_thread() -> None:
    with spawned(APP, graceful_timeout=0.1) as worker:
        worker.serving()
        with worker.begin("/block"):
            worker.gate.expect("blocking")
            worker.hang_up()
            assert worker.exit_code() == 1


# What the application does to its process


def test_max_requests_asks_to_be_replaced_and_serves_on() -> None:
    with spawned(APP, max_requests=2) as worker:
        worker.serving()
        for _ in range(3):
            assert worker.get("/")[0] == 200
        assert worker.expect("recycle").fields == {"reason": "max-requests 2 reached"}


@both_loops
def test_sys_exit_in_a_request_is_that_requests_500_and_nothing_else(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        assert worker.get("/leave")[0] == 500
        assert worker.get("/") == (200, "ok")


@both_loops
def test_sys_exit_outside_a_request_asks_to_be_replaced_and_serves_on(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        assert worker.get("/leave-later") == (200, "soon")
        assert worker.expect("recycle").fields == {"reason": "the application raised SystemExit(5)"}
        assert worker.get("/") == (200, "ok")
        worker.tell("drain", {"timeout_s": 5, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0
        assert "application.exited" in events(worker.stderr)


def test_printing_to_a_broken_standard_output_is_that_requests_500_and_nothing_else() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with spawned(APP, stdout=writer) as worker:
            worker.serving()
            assert worker.get("/print")[0] == 500
            assert worker.get("/") == (200, "ok")
            worker.tell("drain", {"timeout_s": 5, "final": True})
            worker.expect("draining", "finished", "drained")
            assert worker.exit_code() == 0
    finally:
        os.close(writer)


def test_a_full_standard_output_does_not_change_the_exit_code() -> None:
    with Path("/dev/full").open("wb") as full, spawned(APP, stdout=full.fileno()) as worker:
        worker.serving()
        assert worker.get("/print")[0] == 500
        worker.tell("drain", {"timeout_s": 5, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0


def test_a_broken_standard_error_disturbs_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with spawned(APP, stderr=writer) as worker:
            worker.serving()
            assert worker.get("/raise")[0] == 500
            assert worker.get("/") == (200, "ok")
            worker.tell("drain", {"timeout_s": 5, "final": True})
            worker.expect("draining", "finished", "drained")
            assert worker.exit_code() == 0
    finally:
        os.close(writer)


def test_a_program_the_application_starts_inherits_none_of_our_descriptors() -> None:
    with spawned(APP) as worker:
        worker.expect("booted", "started", "ready")
        ours = {worker.spec.record_fd, worker.spec.loads_fd, worker.spec.listeners[0].fd}
        close_on_exec = 0o2000000
        for fd in ours:
            flags = Path(f"/proc/{worker.process.pid}/fdinfo/{fd}").read_text().splitlines()[1]
            assert int(flags.split()[1], 8) & close_on_exec, fd


# Beats and stacks


@both_loops
def test_figures_and_beats_are_in_the_scoreboard(loop: str) -> None:
    with spawned(APP, generation=4, loop=loop) as worker:
        worker.serving()
        assert worker.get("/")[0] == 200
        until(lambda: worker.figures().requests_total == 1)
        figures = worker.figures()
        assert (figures.pid, figures.generation, figures.responses[1]) == (worker.process.pid, 4, 1)
        until(lambda: worker.figures().loop_beat_at > figures.loop_beat_at)
        until(lambda: worker.figures().thread_beat_at > figures.thread_beat_at)


@both_loops
def test_a_blocked_loop_goes_silent_while_the_thread_beats_and_tells_what_is_in_flight(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        with worker.begin("/block") as blocked:
            worker.gate.expect("blocking")
            silent_since = worker.figures().loop_beat_at
            until(lambda: [(entry.method, entry.path) for entry in worker.in_flight()] == [("GET", "/block")])
            beat_at = worker.figures().thread_beat_at
            until(lambda: worker.figures().thread_beat_at > beat_at)
            assert worker.figures().loop_beat_at == silent_since
            worker.gate.open()
            assert blocked.answer() == (200, "blocked")
        until(lambda: worker.figures().loop_beat_at > silent_since)
        until(lambda: worker.in_flight() == [])


def test_stacks_name_the_line_even_while_c_code_holds_the_interpreter() -> None:
    with spawned(APP) as worker:
        worker.serving()
        with worker.begin("/held-interpreter") as held:
            worker.gate.expect("holding the interpreter")
            until(
                lambda: (
                    "pause" in Path(f"/proc/{worker.process.pid}/wchan").read_text() or is_asleep(worker.process.pid)
                )
            )
            beat_at = worker.figures().thread_beat_at
            worker.signal(STACKS_SIGNAL)
            assert held.answer() == (200, "let go")  # pause(2) returns after any signal
        assert "gated.py" in worker.stacks()
        assert "in serve" in worker.stacks()
        until(lambda: worker.figures().thread_beat_at > beat_at)


def is_asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@both_loops
def test_an_application_that_stops_the_event_loop_is_told_and_replaced(loop: str) -> None:
    with spawned(APP, loop=loop) as worker:
        worker.serving()
        assert worker.get("/stop-loop") == (200, "soon")
        assert worker.expect("recycle").fields == {"reason": "the application stopped the event loop"}
        assert worker.get("/") == (200, "ok")
        worker.tell("drain", {"timeout_s": 5, "final": True})
        worker.expect("draining", "finished", "drained")
        assert worker.exit_code() == 0
        assert '"error": "the application stopped the event loop"' in worker.stderr
