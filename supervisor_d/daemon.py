"""The assembly: settings in, a running daemon, an exit code out. What is joined here knows nothing of each other."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from server_core.exit_codes import EXIT_BOOT_FAILED
from server_core.runtime import process_title
from server_core.tls.checks import load_tls, tls_expiries
from supervisor_d import clock
from supervisor_d._version import __version__
from supervisor_d.boot_failure import LastBootFailure
from supervisor_d.control.commands import OPEN_COMMANDS
from supervisor_d.control.hosts import Guard, Hosts
from supervisor_d.control.socket_path import places
from supervisor_d.deferred_imports import AFTER_S, import_late
from supervisor_d.faults import FaultBarrier
from supervisor_d.host import pid_file
from supervisor_d.host.control.server import ControlServer
from supervisor_d.host.control.socket_watch import SocketWatch
from supervisor_d.host.generations import FIRST, Generations
from supervisor_d.host.journal.condensed_log import CondensedLog
from supervisor_d.host.journal.event_ring import Journal
from supervisor_d.host.observation.incidents import Incidents
from supervisor_d.host.observation.observer import Observer
from supervisor_d.host.observation.scoreboard import Scoreboard
from supervisor_d.host.order_executor import Equipment, OrderExecutor
from supervisor_d.host.processes.interpreter import worker_environment
from supervisor_d.host.processes.oom_score import OomScore
from supervisor_d.host.processes.orphans import Orphans
from supervisor_d.host.processes.prefork import PreforkFactory
from supervisor_d.host.processes.process_table import Child, ProcessTable
from supervisor_d.host.reactor import Reactor
from supervisor_d.host.saves import Saves
from supervisor_d.host.sockets import admin_listener, control_listener
from supervisor_d.host.sockets.admin_listener import bound_host, open_admin_listeners
from supervisor_d.host.sockets.binding import binding_of
from supervisor_d.host.sockets.control_listener import open_control_listener
from supervisor_d.host.sockets.listener import Listener
from supervisor_d.host.sockets.listener_watch import ListenerWatch
from supervisor_d.host.sockets.listeners import Listeners
from supervisor_d.host.statsd import Statsd
from supervisor_d.host.system.announcer import Announcer
from supervisor_d.host.system.cgroup import Cgroup, OomKills
from supervisor_d.host.system.confinement import UNCONFINED, is_unconfined
from supervisor_d.host.system.signals import Signals
from supervisor_d.log import ALL_EVENTS, setup
from supervisor_d.master import Master
from supervisor_d.policy.supervisor import Supervisor
from supervisor_d.settings.resolve import Resolved
from supervisor_d.settings.sources.links import links
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.values.address import parse_address
from supervisor_d.settings.values.identity import identity_of
from supervisor_d.snapshot_source import SnapshotSource
from supervisor_d.vocabulary import Instant, MasterFailing, RecordRefused, Started


def run_daemon(resolved: Resolved) -> int:
    """Run until stopped; the exit code. Raises SupervisorError if it cannot start."""
    server = resolved.settings.server
    journal = Journal(setup(form=server.log_format, level=server.log_level, table=ALL_EVENTS))
    daemon = Daemon(resolved, journal, os.environ)
    last_failure = LastBootFailure()
    journal.ring.listeners.append(last_failure)
    try:
        daemon.open()
        code = daemon.master.run()
        if code == EXIT_BOOT_FAILED:
            daemon.announcer.last_words(last_failure.in_short)
    except BaseException as error:
        journal("master.failed", error=str(error) or type(error).__name__)
        daemon.announcer.last_words(str(error) or type(error).__name__)
        raise
    finally:
        daemon.close()
    journal("master.stopped", exit_code=code, duration_s=round(clock.now() - daemon.started_at, 3))
    if code == EXIT_BOOT_FAILED and last_failure.fields is not None:
        journal("application.failed", **last_failure.fields)  # the reason is the last thing that is printed
    return code


class Daemon:
    """Everything the master is made of; opened and closed as one."""

    _door: ControlServer | None = None

    def __init__(self, resolved: Resolved, journal: Journal, environ: Mapping[str, str]) -> None:
        self.started_at = clock.now()
        self._resolved = resolved
        self._settings = resolved.settings
        self._environ = environ
        self._journal = journal
        self.announcer = Announcer(self._settings.daemon.ready_fd, str(resolved.provenance["ready_fd"]), journal)
        self._identity = identity_of(self._settings.daemon.user, self._settings.daemon.group)
        self._binding = binding_of(resolved, self._identity)
        self._barrier = FaultBarrier(journal, self._keep_fault, self._give_up)
        self._reactor = Reactor(self._barrier)
        self._listener_watch = ListenerWatch(self._reactor, journal, may_rebind=self._settings.daemon.unix_rebind)
        self._listeners = Listeners(journal, self._listener_watch.forget)
        self._socket_watch = SocketWatch(self._reactor, journal)
        self._generations = Generations(resolved, self._identity)
        self._scoreboard = Scoreboard(lambda slot, fault: self._reactor.tell(RecordRefused(slot, fault)))
        self._cgroup, self._oom_score = Cgroup(), OomScore()
        self._oom_kills = OomKills(self._cgroup)
        self._condensed = CondensedLog(journal, self._reactor)
        self._children = ProcessTable(
            self._reactor,
            self._condensed,
            worker_environment(environ),
            self._account_for,
            after_start=self._oom_score.expose,
            identity=self._identity,
        )
        self._orphans = Orphans(self._reactor, self._children)
        self._prefork = PreforkFactory(
            self._reactor,
            self._children,
            journal,
            newest=lambda: self._generations.newest_number,
            wanted=lambda: self._policy.status(clock.now()).target,
        )
        self._observer = Observer(self._children, self._scoreboard, self._cgroup)
        self._incidents = Incidents(self._scoreboard, journal)
        self._signals = Signals(self._reactor, journal, self._children.reap_all)
        self._policy = Supervisor(self._generations[FIRST].terms, seed=int.from_bytes(os.urandom(4)))
        self._closers: list[Callable[[], object]] = [self._reactor.close, self._generations.close]

    def open(self) -> None:
        """Take signals, open listeners and door, and tell the policy. Raises SupervisorError."""
        self._signals.open()
        self._orphans.open(spare_foreign=self._resolved.origin is Origin.ARGUMENT and os.getpid() != 1)
        self._closers += (self._oom_score.restore, self._signals.close)
        if self._settings.daemon.config:
            load_tls()  # certificates can come with a reload only where there is a file to name them
        self._oom_score.protect()
        if self._identity is None and is_unconfined():
            self._journal("master.unconfined", reason=UNCONFINED)
        self._closers.append(self._scoreboard.close)
        self.announcer.open(self._reactor, self._environ)
        self._closers.append(self.announcer.close)
        self._closers += (self._condensed.flush, self._orphans.close, self._children.abandon)
        self._closers += (self._prefork.finish, self._listeners.close)
        self._be_found()
        self._listeners.open(self._binding, self._environ)
        self._closers.append(self._listener_watch.close)
        self._listener_watch.open(self._listeners, self._renew)
        self._open_control()
        daemon = self._settings.daemon
        self._journal(
            "master.started",
            name=daemon.name,
            pid=os.getpid(),
            version=__version__,
            app=self._settings.server.app,
            workers=self._generations[FIRST].terms.workers,
            python=platform.python_version(),
        )
        if linked := links(self._resolved.environ):
            self._journal("environment.links_ignored", variables=sorted(linked))
        first = self._generations[FIRST]
        for expiry in tls_expiries(first.location.server, clock.wall(), first.tls.descriptors):
            self._journal(expiry.event, **expiry.facts)
        self._reactor.tell(Started())
        self._reactor.at(Instant(self.started_at + AFTER_S), self._complete)
        show = self.announcer.show if self.announcer.is_heard else None
        executor = OrderExecutor(self._equipment())
        executor.hand_over_access_log()
        self.master = Master(self._policy, self._reactor, executor, self._barrier, show=show)

    def _be_found(self) -> None:
        """By title, pid file and StatsD, before anything listens: of two daemons with one file the second ends here."""
        daemon = self._settings.daemon
        if daemon.proc_title and (reason := process_title.show(f"{daemon.proc_title}: master")):
            self._journal("master.degraded", feature="proc-title", reason=reason)
        if daemon.pid_file:
            path, source = Path(self._resolved.start, daemon.pid_file), str(self._resolved.provenance["pid_file"])
            self._closers.append(pid_file.write(path, source, self._journal).close)
        statsd = Statsd(daemon, self._reactor, self._journal, self._scoreboard, self._children)
        statsd.open()
        self._closers.append(statsd.close)
        if daemon.reload:
            saves = Saves(daemon, self._generations[FIRST].location, self._reactor, self._journal, self._children)
            saves.open()
            self._closers.append(saves.close)

    def _renew(self, listener: Listener) -> Listener:
        """Have it listen again; one that is bound in its place is handed to all workers. Raises OSError."""
        if listener.has_only_a_name and listener.socket.fileno() >= 0:
            self._children.give_up(listener.spec)
            for template in self._prefork.templates:
                template.give_up(listener.spec)
        renewed = self._listeners.renew(listener)
        if renewed is not listener:
            with contextlib.suppress(OSError):  # ETOOMANYREFS (unix(7)): the reload that follows brings it to workers
                self._children.take_on(renewed.spec)
                for template in self._prefork.templates:
                    template.take_on(renewed.spec)
        return renewed

    def _give_up(self, reason: str) -> None:
        self._reactor.tell(MasterFailing(reason))

    def _keep_fault(self, what: str, error: str, traceback: str) -> None:
        self._incidents.record_fault(what, error, traceback)

    def _complete(self) -> None:
        import_late()
        self._journal("master.completed")

    def close(self) -> None:
        """Undo open(), as far as it came. Workers that still live find their pipe closed, and drain."""
        while self._closers:
            self._closers.pop()()

    def _open_control(self) -> None:
        """The control socket and admin-bind, and the watch over their files, which ends before they are closed."""
        self._open_door()
        self._open_admin()
        self._closers.append(self._socket_watch.close)

    def _open_door(self) -> None:
        daemon = self._settings.daemon
        candidates = places(daemon.control_socket, daemon.name, self._environ, os.geteuid())
        if not candidates:
            return
        listener = open_control_listener(candidates)
        self._door = ControlServer(self._reactor, listener, self._snapshot_source().view, self._journal)
        self._closers.append(self._door.close)
        self._socket_watch.add(self._door, listener, control_listener.rebind)
        if listener.squatter:
            self._journal("control.squatted", address=self._door.address, reason=listener.squatter)
        for doubt in listener.doubts:
            self._journal("socket.exposed", address=self._door.address, reason=doubt)
        self._journal.ring.listeners.append(self._door.publish)
        self._journal("control.opened", address=self._door.address)

    def _open_admin(self) -> None:
        """The doors for probes and scrapes, if they are wanted."""
        daemon = self._settings.daemon
        if not daemon.admin_bind:
            return
        address, source = parse_address(daemon.admin_bind), str(self._resolved.provenance["admin_bind"])
        for listener in open_admin_listeners(address, source, daemon.unix_mode, self._environ):
            hosts = Hosts(bound_host(listener), frozenset(filter(None, daemon.admin_hosts.split(","))))
            door = ControlServer(
                self._reactor, listener, self._snapshot_source().view, self._journal, Guard(hosts, OPEN_COMMANDS)
            )
            self._closers.append(door.close)
            self._socket_watch.add(door, listener, partial(admin_listener.rebind, unix_mode=daemon.unix_mode))
            for doubt in listener.doubts:
                self._journal("socket.exposed", address=door.address, reason=doubt)
            self._journal("admin.opened", address=door.address)

    def _account_for(self, child: Child, code: int) -> bool:
        """Keep what a worker that is gone counted, and say whether the kernel killed it for memory."""
        self._scoreboard.retire(child.slot)
        self._orphans.worker_ended(child.slot, child.pid, code)
        return self._oom_kills.account_for(killed_unasked=code == -signal.SIGKILL and not child.is_kill_ordered)

    def _snapshot_source(self) -> SnapshotSource:
        return SnapshotSource(
            settings=self._settings,
            started_at=self.started_at,
            status=self._policy.status,
            scoreboard=self._scoreboard,
            observer=self._observer,
            listeners=self._listeners,
            identity=self._identity,
            generations=self._generations,
            cgroup=self._cgroup,
            journal=self._journal,
            incidents=self._incidents,
            prefork=self._prefork,
            children=self._children,
        )

    def _equipment(self) -> Equipment:
        return Equipment(
            name=self._settings.daemon.name,
            reactor=self._reactor,
            log=self._condensed,
            listeners=self._listeners,
            scoreboard=self._scoreboard,
            children=self._children,
            prefork=self._prefork,
            generations=self._generations,
            observer=self._observer,
            incidents=self._incidents,
            identity=self._identity,
            orphans=self._orphans,
            door=self._door,
        )
