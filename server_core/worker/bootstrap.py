"""A worker's life, told at birth by a spec, which is the pipe's first message.

From a descriptor to a worker in its event loop (worker.py): the spec, what is inherited, the import of the
application. A template stops before that import, or after it, and the workers that it forks go on from there.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import Final

from server_core.asgi.adapters import Application
from server_core.contract.messages import GIVE_UP_S, TRACEBACK_LIMIT
from server_core.contract.spec import INDEX_VARIABLE, SLOT_VARIABLE, Template, WorkerSpec
from server_core.errors import (
    BootError,
    ContractError,
    ServerError,
    UsageError,
)
from server_core.exit_codes import EXIT_OK, EXIT_USAGE
from server_core.http1 import header_parser
from server_core.listen.fair_accept import FairAccept
from server_core.log import EVENTS, Log, setup
from server_core.runtime import event_loop, process_title
from server_core.runtime.early_signals import EarlySignals, Terminated, finish_streams, forget_signals, outlast_signals
from server_core.runtime.page_release import shed
from server_core.runtime.standard_streams import take_terminal
from server_core.server import access_log
from server_core.worker import inheritance
from server_core.worker.control_pipe import MasterGone, Pipe
from server_core.worker.heartbeat import ThreadBeat
from server_core.worker.prefork import template
from server_core.worker.prefork.prefork_imports import import_early
from server_core.worker.scoreboard import Scoreboard
from server_core.worker.service import Service, import_application
from server_core.worker.worker import Worker
from server_core.wsgi.served import Alarm

ROLES: Final = {Template.SERVER: "template", Template.APPLICATION: "zygote"}
"""What a process is called that forks workers and serves no client itself."""


def _spec(pipe: Pipe) -> WorkerSpec:
    message = pipe.receive_one()
    if message.verb != "spec":
        raise ContractError(f"spec: must be the first message, not {message.verb}")
    try:
        return WorkerSpec.from_fields(message.fields)
    except (TypeError, KeyError, ValueError) as error:
        raise ContractError(f"spec: {error}") from error


def _enter(directory: str) -> None:
    try:
        if directory:
            os.chdir(directory)
    except OSError as error:
        raise ContractError(f"spec: directory {directory!r} cannot be entered: {error.strerror}") from error


def _second_thread(spec: WorkerSpec, pipe: Pipe, scoreboard: Scoreboard) -> ThreadBeat:
    """Started while every signal is still blocked: see ThreadBeat."""
    thread = ThreadBeat(
        scoreboard,
        pipe_fd=pipe.fileno(),
        beat_s=spec.beat_s,
        watch_s=spec.watch_s,
        orphan_timeout_s=spec.settings.graceful_timeout + GIVE_UP_S,
    )
    thread.start()
    return thread


def _import(
    spec: WorkerSpec, pipe: Pipe, log: Log, signals: EarlySignals, *, to_be_forked: bool = False
) -> Application | None:
    """The application; None if SIGTERM came meanwhile, which ends the import, and it was said. Raises BootError."""
    try:
        signals.interrupts = True
        spec.search.enter()
        app = import_application(spec.settings, log, to_be_forked=to_be_forked)
        signals.interrupts = False
    except (BootError, Terminated):
        if signals.terminated:
            pipe.send("drained")  # or the master would take it for a process that its application has ended
            return None
        raise
    return app


def work(spec: WorkerSpec, pipe: Pipe, signals: EarlySignals, app: Application | None = None) -> int:
    """One worker's life, and its exit code; any ServerError means that it could not boot.

    `app` is there already in a worker that was forked.
    """
    log = setup(
        form=spec.settings.log_format,
        level=spec.settings.log_level,
        table=EVENTS,
        bound={"slot": spec.slot, "generation": spec.generation},
    )
    inheritance.let_stacks_be_told(spec)
    if spec.terminal:
        take_terminal()
    if app is None:
        _enter(spec.directory)
    os.environ[SLOT_VARIABLE] = str(spec.slot)
    os.environ["SUPERVISOR_D_GENERATION"] = str(spec.generation)
    os.environ.pop(INDEX_VARIABLE, None)  # of a supervisor-d that this one runs in: a template has none
    _show_title(spec, spec.template)
    header_parser.choose(spec.settings.http)
    access_log.choose(spec.settings)
    if spec.template is Template.NONE:
        return _serve(spec, pipe, log, signals, app)
    return _be_template(spec, pipe, log, signals)


def _show_title(spec: WorkerSpec, template: Template) -> None:
    """For ps(1); where it cannot be shown the master has said so of its own."""
    if spec.title:
        role = ROLES.get(template, f"worker {spec.slot}")
        process_title.show(f"{spec.title}: {role} (generation {spec.generation})")


def _be_template(spec: WorkerSpec, pipe: Pipe, log: Log, signals: EarlySignals) -> int:
    """Import what the workers are to share, and fork them; the exit code of whichever process this is in the end."""
    signals.admit()
    inheritance.withhold_own(spec, pipe, log, *spec.tls_fds)
    pipe.send("booted")
    event_loop.choose(spec.settings.loop)  # imports it, once for all
    app = None
    if spec.template is Template.APPLICATION:
        app = _import(spec, pipe, log, signals, to_be_forked=True)
        if app is None:
            return EXIT_OK
        culprit = "importing the application"
    else:
        import_early(spec.settings.app_dir, spec.search.of_application)
        culprit = "starting the interpreter"
    reason = template.unforkable([pipe.fileno(), *(listener.fd for listener in spec.listeners)], culprit)
    if reason is not None:
        pipe.send("unforkable", {"reason": reason})
        _show_title(spec, Template.NONE)
        signals.block()
        return _serve(spec, pipe, log, signals, app)
    shed()
    pipe.send("preloaded")
    # SIGTERM does not end it from now on: at one to the whole process group it must outlast its workers.
    birth = None if signals.terminated else template.fork_on_order(pipe, spec.listeners)
    if birth is None:
        return EXIT_OK
    os.close(spec.record_fd)  # another's: the worker has its own
    signals = EarlySignals()
    signals.catch()
    return live(birth.pipe, signals, app, birth.record_fd)


def _serve(spec: WorkerSpec, pipe: Pipe, log: Log, signals: EarlySignals, app: Application | None) -> int:
    """The part of a worker's life that it spends for clients; every signal is blocked when it begins."""
    os.environ[INDEX_VARIABLE] = str(spec.index)
    sockets = inheritance.sockets(spec)
    _, factory = event_loop.choose(spec.settings.loop)
    scoreboard = Scoreboard.shared(spec.record_fd)
    loads = FairAccept.shared(spec.loads_fd, spec.slot, spec.beat_s) if spec.settings.fair_accept else None
    belongings, certificates = inheritance.settle(spec, pipe, log, scoreboard, loads)
    thread = _second_thread(spec, pipe, scoreboard)
    signals.admit()
    if spec.template is Template.NONE:
        pipe.send("booted")
    app = app or _import(spec, pipe, log, signals)
    if app is None:
        return EXIT_OK
    worker: Worker | None = None

    def recycle(reason: str) -> None:
        if worker is not None:
            worker.recycle(reason)

    service = Service(
        app,
        spec.settings,
        scoreboard,
        log=log,
        generation=spec.generation,
        beat_s=spec.beat_s,
        slot=spec.slot,
        on_max_requests=recycle,
        loads=loads,
        certificates=certificates,
        alarm=Alarm(spec.stuck_s, lambda stuck: pipe.offer("stuck", stuck._asdict())),
    )
    worker = Worker(spec, pipe, service, thread, log)
    run = belongings.of_loop(lambda loop: worker.run(loop, sockets, signals.terminated))
    try:
        event_loop.run(factory, run, worker.exit_attempted)
    finally:
        forget_signals()
    return EXIT_OK


def report_failure(pipe: Pipe, stage: str, text: str) -> None:
    """Tell the master why this worker could not boot; whoever reads standard error if there is no master.

    A master that stops for the same failure of another worker has told it already, and hung up on this one.
    """
    if not pipe.send("failed", {"stage": stage, "traceback": text[-TRACEBACK_LIMIT:]}) and not pipe.is_dismissed():
        with contextlib.suppress(OSError):  # standard error is gone, too
            os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))


def live(pipe: Pipe, signals: EarlySignals, app: Application | None = None, record_fd: int | None = None) -> int:
    """One process's life behind its pipe, and its exit code. A forked worker has the application and its record."""
    try:
        spec = _spec(pipe)
        return work(spec if record_fd is None else replace(spec, record_fd=record_fd), pipe, signals, app)
    except MasterGone:
        return EXIT_OK
    except BootError as error:
        report_failure(pipe, error.stage, error.report)
        return error.exit_code
    except ServerError as error:
        report_failure(pipe, "import" if isinstance(error, UsageError) else "spec", str(error))
        return BootError.exit_code


def begin(argv: list[str], signals: EarlySignals) -> int:
    """The life behind the descriptor that the first argument names."""
    try:
        pipe = Pipe.from_descriptor(int(argv[1]))
    except (IndexError, ValueError, OSError):
        os.write(2, b"server_core.worker is started by a master; `python -m server_core APP` serves without one\n")
        return EXIT_USAGE
    outlast_signals()
    del argv[1:]  # an application that looks at its arguments is given none
    try:
        return live(pipe, signals)
    finally:
        finish_streams()
