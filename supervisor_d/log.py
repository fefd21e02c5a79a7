"""The table of every event the daemon writes; the docs page is generated from it, undeclared names raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from server_core.log import EVENTS as SERVER_EVENTS
from server_core.log import Event, Log, setup

WORKER = ("slot", "pid", "generation")

ORPHAN: Final = ("pid", "name", "slot", "worker_pid")

EVENTS: Final[Mapping[str, Event]] = {
    "master.started": Event("info", ("name", "pid", "version", "app", "workers", "python"), "The master is up."),
    "environment.links_ignored": Event(
        "debug", ("variables",), "Kubernetes or Docker set these for a Service or container with a name like ours."
    ),
    "master.completed": Event("debug", (), "The rest of the master's code is in memory, a second after its start."),
    "master.unconfined": Event("warning", ("reason",), "Workers are root, and nothing confines them; told once."),
    "master.degraded": Event("warning", ("feature", "reason"), "Something this system lacks is done without."),
    "master.stopped": Event(
        "info",
        ("exit_code", "duration_s"),
        "The master exits; only application.failed follows, which repeats why no worker could boot.",
    ),
    "master.failed": Event("error", ("error",), "The master cannot start or go on; exits non-zero after this."),
    "master.faulted": Event(
        "error",
        ("work", "error", "traceback"),
        "Our fault, or an answer of the system that we did not expect: this piece of work was given up, nothing else.",
    ),
    "master.failing": Event("error", ("reason",), "The master failed again and again: it stops, and exits with 1."),
    "pid_file.replaced": Event(
        "warning", ("path", "stale_pid"), "The pid file was there and named a process that is not running any more."
    ),
    "statsd.failed": Event(
        "warning",
        ("address", "error"),
        "The StatsD server's name is not known, and nothing is sent until a restart; or it cannot be reached, told once"
        " until it can.",
    ),
    "watcher.started": Event("info", ("pid",), "Files are watched for `run --reload` from now on."),
    "watcher.ended": Event(
        "warning", ("reason", "retry_s"), "What watches files for `run --reload` is not there, and is started again."
    ),
    "socket.bound": Event("info", ("address", "fd"), "A listening socket was bound."),
    "socket.awaited": Event(
        "warning",
        ("address", "pids", "timeout_s"),
        "Workers whose master is gone hold the address: it is bound when they end; after this time they are killed.",
    ),
    "socket.freed": Event(
        "warning",
        ("address", "pids", "how"),
        "Workers whose master is gone held the address and hung: their listener was shut down, or they were killed.",
    ),
    "socket.backlog_capped": Event(
        "warning", ("backlog", "somaxconn"), "The kernel keeps accept queues shorter than backlog; told once."
    ),
    "socket.inherited": Event("info", ("address", "fd", "source"), "A listening socket was inherited."),
    "socket.exposed": Event("warning", ("address", "reason"), "Other users may replace a socket's file."),
    "socket.unused": Event("warning", ("addresses", "reason"), "A bind setting does not apply."),
    "socket.closed": Event("info", ("addresses",), "The listeners are closed; nobody accepts any more."),
    "socket.lost": Event("error", ("address", "reason"), "No client reaches this listener; the daemon is not ready."),
    "socket.restored": Event("warning", ("address",), "A listener that was lost listens again."),
    "control.opened": Event("info", ("address",), "The control socket answers here."),
    "control.lost": Event(
        "error", ("address", "reason"), "The file of the control socket, or of admin-bind, is gone, or another's."
    ),
    "control.restored": Event("warning", ("address",), "It was bound anew, or its file was put back."),
    "admin.opened": Event("info", ("address",), "Probes and scrapes are answered here."),
    "control.squatted": Event(
        "warning", ("address", "reason"), "Another user has taken the control socket's usual name; this one is used."
    ),
    "control.unavailable": Event("warning", ("reason",), "There is no control socket; signals still work."),
    "control.refused": Event("warning", ("status", "reason", "peer_pid", "peer_uid"), "A control request was refused."),
    "signal.received": Event("info", ("signal", "sender_pid", "sender_uid"), "The master got a signal it acts on."),
    "process.reaped": Event(
        "info",
        ("pid", "exit_code", "signal"),
        "A process that is not a worker, and came to the master, has ended.",
    ),
    "process.terminated": Event(
        "warning", (*ORPHAN, "reason"), "A process that a worker left behind when it crashed or was killed: SIGTERM."
    ),
    "process.killed": Event("warning", ("pid", "name"), "A process that was left behind did not end: SIGKILL."),
    "process.spared": Event("info", (*ORPHAN, "reason"), "A process that a worker left behind is let alone."),
    "process.summed": Event(
        "info",
        ("of", "count", "kinds"),
        "So many more events of this name came within a second, after ten that were told by themselves.",
    ),
    "directory.gone": Event(
        "warning",
        ("generation", "gone", "entered"),
        "The directory that a generation ran in is gone: workers of it that are started from now on enter the one that "
        "its path names by now, which may hold other code.",
    ),
    "template.prepared": Event(
        "info", ("generation", "pid", "duration_s"), "The server is in memory once; a generation's workers are forked."
    ),
    "template.refused": Event(
        "warning", ("generation", "reason"), "Workers are not forked, but started each by itself."
    ),
    "template.killed": Event("warning", ("generation", "pid", "timeout_s"), "A template did not end in time: SIGKILL."),
    "template.ended": Event("info", ("generation", "pid", "exit_code", "signal"), "A generation's template is gone."),
    "zygote.preloaded": Event(
        "info", ("generation", "pid", "duration_s"), "The application is imported; workers are forked from here."
    ),
    "zygote.refused": Event("warning", ("generation", "reason"), "Workers are not forked, but started each by itself."),
    "zygote.killed": Event("warning", ("generation", "pid", "timeout_s"), "A zygote did not end in time: SIGKILL."),
    "zygote.ended": Event("info", ("generation", "pid", "exit_code", "signal"), "A generation's zygote is gone."),
    "worker.spawned": Event(
        "info",
        (*WORKER, "role"),
        "A worker process was started. With role, template or zygote, it is not one more worker: if it can be forked, "
        "the worker that follows it in the slot is forked from it.",
    ),
    "worker.spawn_failed": Event("error", ("slot", "generation", "error", "retry_s"), "No process could be started."),
    "worker.booted": Event("debug", WORKER, "The interpreter is up; the application is being imported."),
    "worker.started": Event("debug", WORKER, "Lifespan start-up is complete."),
    "worker.ready": Event("info", (*WORKER, "duration_s"), "The worker serves."),
    "worker.boot_failed": Event(
        "error",
        (*WORKER, "stage", "traceback", "is_fatal"),
        "The application could not boot. With is_fatal no worker ever could, and the daemon ends: application.failed"
        " follows, which on a console alone shows the traceback.",
    ),
    "worker.boot_expired": Event("error", (*WORKER, "timeout_s"), "Not ready within boot-timeout."),
    "worker.suspected": Event("warning", (*WORKER, "kind", "silent_s"), "The event loop is silent; replaced."),
    "worker.recovered": Event("warning", (*WORKER, "silent_s"), "A suspected worker's loop beats again."),
    "worker.timeout_extended": Event(
        "warning",
        (*WORKER, "throttled_s", "suspended_s", "starved_s"),
        "Silent, but it was kept from running: not held against it.",
    ),
    "worker.hung": Event(
        "error",
        (*WORKER, "kind", "reason", "silent_s", "incident", "in_flight", "in_flight_age_s", "stacks"),
        "What a worker in trouble was doing. Of kind thread_stuck, which has a `reason`: it serves by its other"
        " threads.",
    ),
    "worker.dumped": Event(
        "info",
        (*WORKER, "kind", "silent_s", "incident", "in_flight", "in_flight_age_s", "stacks"),
        "What a worker was doing when somebody asked.",
    ),
    "worker.parked": Event("info", WORKER, "A replaced worker waits for the reload's verdict."),
    "worker.resumed": Event("info", WORKER, "A parked worker accepts again."),
    "worker.draining": Event("info", (*WORKER, "timeout_s", "reason"), "Finishes what it has and exits."),
    "worker.drained": Event("debug", WORKER, "Everything was finished, lifespan shutdown included."),
    "worker.held": Event(
        "warning",
        (*WORKER, "threads", "processes"),
        "A finished worker has not ended within 2 s, or its threads wait for one another for ever: threads, child"
        " processes, or (MainThread) an exit function that hold it.",
    ),
    "worker.terminated": Event(
        "warning",
        (*WORKER, "reason"),
        "Told to give up: out of time (graceful-timeout), in a fast stop, or before it served.",
    ),
    "worker.cancelled": Event(
        "info", (*WORKER, "reason"), "The worker is not needed any more, and had no process yet: `pid` is null."
    ),
    "worker.killed": Event("warning", (*WORKER, "reason"), "SIGKILL."),
    "worker.detached": Event("warning", (*WORKER, "reason"), "The worker closed its pipe."),
    "worker.exited": Event(
        "info",
        (*WORKER, "cause", "exit_code", "signal", "reason", "age_s"),
        "The process ended as it was asked to.",
    ),
    "worker.crashed": Event(
        "error",
        (*WORKER, "cause", "exit_code", "signal", "reason", "age_s", "retry_s"),
        "The process ended unasked.",
    ),
    "worker.record_refused": Event(
        "error",
        (*WORKER, "fault"),
        "The worker's scoreboard record says what cannot be true; it is not believed, and the worker replaced.",
    ),
    "worker.recycled": Event("info", (*WORKER, "reason"), "The worker is to be replaced, replacement first."),
    "worker.illegal_transition": Event(
        "error",
        (*WORKER, "state", "cause", "fault"),
        "What cannot happen in this state: killed and replaced. `fault` is worker, which said it at the wrong time, or "
        "daemon, a mistake of ours.",
    ),
    "fleet.scaled": Event("info", ("old", "new", "origin"), "The target number of workers changed."),
    "fleet.scale_refused": Event(
        "warning", ("wanted", "target", "reason", "origin"), "More workers were asked for than may be: none was added."
    ),
    "fleet.sized": Event(
        "info",
        ("workers", "cpus", "worker_bytes", "room_bytes", "limit_bytes"),
        "What workers = auto is with the memory limit, now that the first worker was weighed.",
    ),
    "fleet.degraded": Event("error", ("reason", "ready", "target"), "Fewer workers than wanted can be had."),
    "fleet.recovered": Event("info", ("ready", "target"), "As many workers as wanted have been ready for 10 s."),
    "fleet.failed": Event("error", ("reason",), "No worker is left and none can be started."),
    "reload.started": Event("info", ("generation", "origin", "dry_run"), "A new generation is being tried."),
    "reload.configured": Event("info", ("generation", "changes"), "The configuration was read again."),
    "reload.coalesced": Event("info", ("generation", "origin"), "A reload runs; another follows it."),
    "reload.progressed": Event("info", ("generation", "phase", "replaced", "target"), "One step further."),
    "reload.committed": Event("info", ("generation", "duration_s", "origin"), "The new generation serves alone."),
    "reload.rolled_back": Event(
        "error",
        ("generation", "reason", "duration_s", "origin", "traceback"),
        "The old generation serves on.",
    ),
    "reload.proved": Event("info", ("generation", "duration_s", "origin"), "A dry run's canary was sound; discarded."),
    "stop.requested": Event("info", ("fast", "origin", "shutdown_delay_s"), "The daemon was asked to stop."),
    "log.reopened": Event("info", ("origin",), "Log files were reopened."),
    "order.failed": Event("error", ("order", "error"), "Our fault or the host's: an order could not be performed."),
}

ALL_EVENTS: Final[Mapping[str, Event]] = {**EVENTS, **SERVER_EVENTS}

__all__ = ["ALL_EVENTS", "EVENTS", "Event", "Log", "setup"]
