"""Where workers come from: spawned each by itself, or forked from their generation's template.

A generation with a template has a home. Its first worker is spawned like any other, and told to say, once it has
imported what all are to share, whether it can be forked; births that come meanwhile wait. If it can, it leaves its slot
and becomes the generation's template, and whoever waits is forked, its own slot first. If it can not, it goes on as the
worker that it is, and the others are spawned. If it ends before, the next birth is the first one again: failing,
back-off and giving up are the policy's, which sees nothing of this but a worker in a slot, and for the first one a
second pid.

What the application's import has to do with it is one switch. `preload`: a template has imported it (and is called the
zygote). Without: it has not, and then a template for a single worker would cost memory and save none. So there is none
while one worker is wanted; it comes with the first birth that takes place when more are.

A template is of use only when somebody is born, and is not for nothing: 11 of its 13 MiB are its own by then. So the
first one is ended when all are born who are wanted. Whoever is born later has another, which stays: where workers are
replaced at all, they are replaced again. A zygote always stays, since no other would hold the same code.

A template that can have no further births is dismissed: its pipe is hung up, and it ends in order, with what libraries
registered for that (atexit). It is killed if it does not end in time, or does not answer. A zygote ends after its
workers, at the stop, too: what the application made at import and undoes at exit (a temporary directory) is theirs as
well. (A process that the import started, as a manager does, makes it no zygote:
server_core/worker/prefork/unshareable.py.) One that dies is missed only at the next birth.
The template's own side is server_core/worker/prefork/template.py.
Host side: no judgement but this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from server_core.contract.spec import ListenerSpec, Message, Template, WorkerSpec, encode
from supervisor_d import clock
from supervisor_d.errors import SupervisorError
from supervisor_d.host.processes.prefork_template import Fork, Home, Leaving
from supervisor_d.host.processes.process_table import Child, Children, outcome
from supervisor_d.host.processes.subreaper import become_subreaper
from supervisor_d.host.reactor import Watcher
from supervisor_d.log import Log
from supervisor_d.vocabulary import Generation, Instant, Pid, Slot, SpawnFailed, WorkerPreloaded

REFUSALS: Final = (OSError, SupervisorError)

CALLED_OFF: Final = "called off before it began"
DISMISSAL_S: Final = 2.0
"""What a dismissed template has for its end, as a worker after SIGTERM (contract.TERMINATE_GRACE_S). Chosen."""
VERBS: Final = frozenset(("preloaded", "unforkable", "forked", "fork_failed"))
"""What a process says to its nursery, and the policy does not hear (contract/spec.py)."""


class Nursery:
    """All homes by generation. `newest` says which generation is, `wanted` how many workers there are to be."""

    def __init__(
        self,
        watcher: Watcher,
        children: Children,
        log: Log,
        newest: Callable[[], Generation],
        wanted: Callable[[], int],
    ) -> None:
        self._watcher = watcher
        self._children = children
        self._log = log
        self._newest = newest
        self._wanted = wanted
        self._homes: dict[Generation, Home] = {}
        self._leaving: dict[Pid, Leaving] = {}
        self._is_closing = False
        children.after_exit = self._has_ended

    def home(self, generation: Generation) -> Home | None:
        return self._homes.get(generation)

    def bear(self, spec: WorkerSpec) -> None:
        """See to it that a worker comes to be, told as WorkerSpawned or SpawnFailed. Raises SpawnError or OSError."""
        home = self._home_of(spec)
        if home is None or home.refusal is not None:
            self._children.spawn(replace(spec, template=Template.NONE))
        elif home.template is not None:
            self._fork(home, home.template, spec)
        elif home.candidate is not None:
            home.waiting[Slot(spec.slot)] = spec
        else:
            self._spawn_first(home, spec)

    def _home_of(self, spec: WorkerSpec) -> Home | None:
        """Where this worker is to come from, made if need be; None if it is spawned by itself."""
        if spec.template is Template.NONE:
            return None
        generation = Generation(spec.generation)
        home = self._homes.get(generation)
        if spec.template is Template.SERVER and self._wanted() < 2 and (home is None or not home.is_founded):
            return None
        if home is None:
            home = Home(generation, spec.template, clock.now(), refusal=become_subreaper())
            self._homes[generation] = home
            if home.refusal is not None:
                self._log(home.events["refused"], generation=generation, reason=home.refusal)
        return home

    def call_off(self, slot: Slot) -> bool:
        """Give up a birth whose process is not there yet, told as SpawnFailed; False if there is none such."""
        for home in tuple(self._homes.values()):
            if home.waiting.pop(slot, None) is not None:
                self._watcher.tell(SpawnFailed(slot, CALLED_OFF))
                return True
            fork = home.forks.get(slot)
            if fork is not None:
                fork.is_called_off = True
                self.end(home)  # it had its time to answer: see _bereave
                return True
        return False

    def take_on(self, listener: ListenerSpec) -> None:
        """Have all who are born from now on accept from a listener that was bound anew. Raises OSError."""
        for home in self._homes.values():
            home.take_on(listener)

    def tidy(self) -> None:
        """Dismiss every template whose generation can have no births, and has no workers any more."""
        needed = {child.generation for child in self._children}
        if not self._is_closing:
            needed.add(self._newest())
        for home in tuple(self._homes.values()):
            if home.generation not in needed and not home.is_expecting:
                self._dismiss(home)
                del self._homes[home.generation]

    def close(self) -> None:
        """There are no births any more: end every template, a zygote once its workers have ended."""
        self._is_closing = True
        for home in tuple(self._homes.values()):
            if home.is_expecting:
                self.end(home)
            elif home.kind is Template.SERVER:
                self._dismiss(home)
        self.tidy()

    def finish(self) -> None:
        """Wait until every template has ended, or was killed for not ending. For the end of the master's loop."""
        self._is_closing = True
        for home in tuple(self._homes.values()):
            self._dismiss(home)
        self._watcher.attend_while(lambda: bool(self._leaving))

    def _dismiss(self, home: Home) -> None:
        """Let a template end in good order, and kill it if it does not."""
        template, home.template = home.template, None
        if template is not None:
            template.pipe.hang_up()
            expires = self._watcher.at(Instant(clock.now() + DISMISSAL_S), lambda: self._expire(home, template))
            self._leaving[template.pid] = Leaving(template, expires)

    def _expire(self, home: Home, template: Child) -> None:
        self._log(home.events["killed"], generation=home.generation, pid=template.pid, timeout_s=DISMISSAL_S)
        template.kill()

    def _spawn_first(self, home: Home, spec: WorkerSpec) -> None:
        slot = Slot(spec.slot)
        verbs = {
            "preloaded": lambda _: self._promote(home, spec),
            "unforkable": lambda fields: self._refuse(home, str(fields.get("reason"))),
        }
        home.candidate, home.began_at, home.lacking = slot, clock.now(), {}
        try:
            self._children.spawn(spec, verbs)
        except BaseException:  # cleans up and raises it again, whatever it is
            home.candidate = None
            raise

    def _promote(self, home: Home, spec: WorkerSpec) -> None:
        """The candidate can be forked: it leaves its slot to the first of its children."""
        slot = Slot(spec.slot)
        if self._children[slot].is_leaving:
            self._children[slot].pipe.hang_up()  # it has been sent a signal, which it may have had too late to heed
            return
        self._watcher.tell(WorkerPreloaded(slot))
        pid = self._children[slot].pid
        template = self._children.release(slot, partial(self._bereave, home, pid))
        template.pipe.listener = TemplateListener(self, home)
        home.candidate, home.template = None, template
        self._log(
            home.events["made"],
            generation=home.generation,
            pid=template.pid,
            duration_s=round(clock.now() - home.began_at, 3),
        )
        self._bear_again([spec, *self._take_waiting(home)])

    def _refuse(self, home: Home, reason: str) -> None:
        home.candidate, home.refusal = None, reason
        self._log(home.events["refused"], generation=home.generation, reason=reason)
        self._bear_again(self._take_waiting(home))

    def _has_ended(self, child: Child) -> None:
        """A process has left its slot for good; if it was the candidate, the next birth takes its part."""
        home = self._homes.get(child.generation)
        if home is not None and home.candidate == child.slot:
            home.candidate = None
            self._bear_again(self._take_waiting(home))
        self.tidy()

    def _take_waiting(self, home: Home) -> list[WorkerSpec]:
        waiting, home.waiting = list(home.waiting.values()), {}
        return waiting

    def _bear_again(self, specs: Iterable[WorkerSpec]) -> None:
        for spec in specs:
            try:
                self.bear(spec)
            except REFUSALS as error:
                self._watcher.tell(SpawnFailed(Slot(spec.slot), str(error)))

    def _fork(self, home: Home, template: Child, spec: WorkerSpec) -> None:
        pipe, theirs = self._children.conceive(home.forked(spec))
        home.complete(pipe)
        home.forks[Slot(spec.slot)] = Fork(home.renewed(spec), pipe)
        self._children.births += 1
        template.pipe.send(encode("fork", {"slot": spec.slot}), (theirs.fileno(), spec.record_fd))
        theirs.close()

    def forked(self, home: Home, slot: Slot, pid: Pid) -> None:
        """The template has forked a worker, which is the master's child."""
        fork = home.forks.pop(slot)
        self._children.adopt(fork.spec, pid, fork.pipe)
        self._children.end_birth()
        self._end_if_whole(home)

    def _end_if_whole(self, home: Home) -> None:
        """End the first template once it has nothing left to do."""
        if home.kind is Template.APPLICATION or home.is_whole or home.is_expecting:
            return
        home.is_whole = self._count(home) >= self._wanted()
        if home.is_whole:
            self._dismiss(home)

    def _count(self, home: Home) -> int:
        return sum(child.generation == home.generation and not child.is_leaving for child in self._children)

    def fork_failed(self, home: Home, slot: Slot, error: str) -> None:
        home.forks.pop(slot).pipe.close()
        self._children.end_birth()
        self._watcher.tell(SpawnFailed(slot, error))

    def end(self, home: Home) -> None:
        """End a template at once; its death is heard of later, and births under way begin anew then."""
        if home.template is not None:
            home.template.kill()

    def _bereave(self, home: Home, pid: Pid, code: int) -> None:
        """A template has ended. What it had said is heard; births left undone begin anew if they are still wanted."""
        leaving = self._leaving.pop(pid, None)
        template = leaving.template if leaving is not None else home.template
        if template is None:
            return
        if leaving is not None:
            leaving.deadline.cancel()
        template.pipe.finish()
        self._children.close(template)
        exit_code, name = outcome(code)
        self._log(home.events["ended"], generation=home.generation, pid=template.pid, exit_code=exit_code, signal=name)
        if leaving is not None:
            return
        home.template = None
        forks, home.forks = home.forks, {}
        for slot, fork in forks.items():
            fork.pipe.close()
            self._children.end_birth()
            if fork.is_called_off:
                self._watcher.tell(SpawnFailed(slot, CALLED_OFF))
        self._bear_again([f.spec for f in forks.values() if not f.is_called_off])


class TemplateListener:
    """Hears what a template says."""

    is_bounded = False

    def __init__(self, nursery: Nursery, home: Home) -> None:
        self._nursery = nursery
        self._home = home

    def hear(self, message: Message) -> None:
        slot, pid = message.fields.get("slot"), message.fields.get("pid")
        if not isinstance(slot, int) or slot not in self._home.forks:
            raise ValueError(f"{message.verb}: slot {slot!r:.80} is not being born")
        if message.verb == "forked" and isinstance(pid, int):
            self._nursery.forked(self._home, Slot(slot), Pid(pid))
        elif message.verb == "fork_failed":
            self._nursery.fork_failed(self._home, Slot(slot), str(message.fields.get("error")))
        else:
            raise ValueError(f"unknown verb {message.verb!r:.80}")

    def hung_up(self, _: str) -> None:
        """It ends, or speaks another language: it is of no use. One that was dismissed has its time."""
        self._nursery.end(self._home)
