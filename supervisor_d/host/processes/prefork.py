"""Where workers come from: spawned each by itself, or forked from their generation's template.

A generation with a template has an entry. Its first worker is spawned like any other, and told to say, once it has
imported what all are to share, whether it can be forked; births that come meanwhile wait. If it can, it leaves its slot
and becomes the generation's template, and the waiting workers are forked, its own slot first. If it can not, it goes on
as the worker that it is, and the others are spawned. If it ends before, the next birth is the first one again: failing,
back-off and giving up are the policy's, which sees nothing of this but a worker in a slot, and for the first one a
second pid.

What the application's import has to do with it is one switch. `preload`: a template has imported it (and is called the
zygote). Without: it has not, and then a template for a single worker would cost memory and save none. So there is none
while one worker is wanted; it comes with the first birth that takes place when more are.

A template is of use only when a worker is forked, and is not for nothing: 11 of its 13 MiB are its own by then. So the
first one is ended when all wanted workers are forked. A later worker has another, which stays: where workers are
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

from server_core.contract.messages import Message, encode
from server_core.contract.spec import Template, WorkerSpec
from supervisor_d import clock
from supervisor_d.errors import SupervisorError
from supervisor_d.host.processes.prefork_template import Fork, Leaving, PreforkTemplate
from supervisor_d.host.processes.process_table import Child, ProcessTable, outcome
from supervisor_d.host.processes.subreaper import become_subreaper
from supervisor_d.host.reactor import Reactor
from supervisor_d.log import Log
from supervisor_d.vocabulary import Generation, Instant, Pid, Slot, SpawnFailed, WorkerPreloaded

REFUSALS: Final = (OSError, SupervisorError)

CALLED_OFF: Final = "called off before it began"
DISMISSAL_S: Final = 2.0
"""What a dismissed template has for its end, as a worker after SIGTERM (contract.TERMINATE_GRACE_S). Chosen."""
VERBS: Final = frozenset(("preloaded", "unforkable", "forked", "fork_failed"))
"""What a process says to its prefork factory, and the policy does not hear (contract/messages.py)."""


class PreforkFactory:
    """All templates by generation. `newest` says which generation is, `wanted` how many workers there are to be."""

    def __init__(
        self,
        reactor: Reactor,
        children: ProcessTable,
        log: Log,
        newest: Callable[[], Generation],
        wanted: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._children = children
        self._log = log
        self._newest = newest
        self._wanted = wanted
        self._templates: dict[Generation, PreforkTemplate] = {}
        self._leaving: dict[Pid, Leaving] = {}
        self._is_closing = False
        children.after_exit = self._has_ended

    @property
    def templates(self) -> tuple[PreforkTemplate, ...]:
        """Of every generation that has one."""
        return tuple(self._templates.values())

    def entry(self, generation: Generation) -> PreforkTemplate | None:
        return self._templates.get(generation)

    def spawn(self, spec: WorkerSpec) -> None:
        """Have a worker spawned or forked, reported as WorkerSpawned or SpawnFailed. Raises SpawnError or OSError."""
        entry = self._entry_of(spec)
        if entry is None or entry.refusal is not None:
            self._children.spawn(replace(spec, template=Template.NONE))
        elif entry.template is not None:
            self._fork(entry, entry.template, spec)
        elif entry.candidate is not None:
            entry.waiting[Slot(spec.slot)] = spec
        else:
            self._spawn_first(entry, spec)

    def _entry_of(self, spec: WorkerSpec) -> PreforkTemplate | None:
        """Where this worker is to come from, made if need be; None if it is spawned by itself."""
        if spec.template is Template.NONE:
            return None
        generation = Generation(spec.generation)
        entry = self._templates.get(generation)
        if spec.template is Template.SERVER and self._wanted() < 2 and (entry is None or not entry.is_founded):
            return None
        if entry is None:
            entry = PreforkTemplate(generation, spec.template, clock.now(), refusal=become_subreaper())
            self._templates[generation] = entry
            if entry.refusal is not None:
                self._log(entry.events["refused"], generation=generation, reason=entry.refusal)
        return entry

    def call_off(self, slot: Slot) -> bool:
        """Give up a birth whose process is not there yet, told as SpawnFailed; False if there is none such."""
        for entry in tuple(self._templates.values()):
            if entry.waiting.pop(slot, None) is not None:
                self._reactor.tell(SpawnFailed(slot, CALLED_OFF))
                return True
            fork = entry.forks.get(slot)
            if fork is not None:
                fork.is_called_off = True
                self.end(entry)  # it had its time to answer: see _template_exited
                return True
        return False

    def tidy(self) -> None:
        """Dismiss every template whose generation can have no births, and has no workers any more."""
        needed = {child.generation for child in self._children}
        if not self._is_closing:
            needed.add(self._newest())
        for entry in tuple(self._templates.values()):
            if entry.generation not in needed and not entry.is_expecting:
                self._dismiss(entry)
                del self._templates[entry.generation]

    def close(self) -> None:
        """There are no births any more: end every template, a zygote once its workers have ended."""
        self._is_closing = True
        for entry in tuple(self._templates.values()):
            if entry.is_expecting:
                self.end(entry)
            elif entry.kind is Template.SERVER:
                self._dismiss(entry)
        self.tidy()

    def finish(self) -> None:
        """Wait until every template has ended, or was killed for not ending. For the end of the master's loop."""
        self._is_closing = True
        for entry in tuple(self._templates.values()):
            self._dismiss(entry)
        self._reactor.attend_while(lambda: bool(self._leaving))

    def _dismiss(self, entry: PreforkTemplate) -> None:
        """Let a template end in good order, and kill it if it does not."""
        template, entry.template = entry.template, None
        if template is not None:
            template.pipe.hang_up()
            expires = self._reactor.at(Instant(clock.now() + DISMISSAL_S), lambda: self._expire(entry, template))
            self._leaving[template.pid] = Leaving(template, expires)

    def _expire(self, entry: PreforkTemplate, template: Child) -> None:
        self._log(entry.events["killed"], generation=entry.generation, pid=template.pid, timeout_s=DISMISSAL_S)
        template.kill()

    def _spawn_first(self, entry: PreforkTemplate, spec: WorkerSpec) -> None:
        slot = Slot(spec.slot)
        verbs = {
            "preloaded": lambda _: self._promote(entry, spec),
            "unforkable": lambda fields: self._refuse(entry, str(fields.get("reason"))),
        }
        entry.candidate, entry.began_at, entry.lacking = slot, clock.now(), {}
        try:
            self._children.spawn(spec, verbs)
        except BaseException:  # cleans up and raises it again, whatever it is
            entry.candidate = None
            raise

    def _promote(self, entry: PreforkTemplate, spec: WorkerSpec) -> None:
        """The candidate can be forked: it leaves its slot to the first of its children."""
        slot = Slot(spec.slot)
        if self._children[slot].is_leaving:
            self._children[slot].pipe.hang_up()  # it has been sent a signal, which it may have had too late to heed
            return
        self._reactor.tell(WorkerPreloaded(slot))
        pid = self._children[slot].pid
        template = self._children.release(slot, partial(self._template_exited, entry, pid))
        template.pipe.listener = TemplateListener(self, entry)
        entry.candidate, entry.template = None, template
        self._log(
            entry.events["made"],
            generation=entry.generation,
            pid=template.pid,
            duration_s=round(clock.now() - entry.began_at, 3),
        )
        self._spawn_again([spec, *self._take_waiting(entry)])

    def _refuse(self, entry: PreforkTemplate, reason: str) -> None:
        entry.candidate, entry.refusal = None, reason
        self._log(entry.events["refused"], generation=entry.generation, reason=reason)
        self._spawn_again(self._take_waiting(entry))

    def _has_ended(self, child: Child) -> None:
        """A process has left its slot for good; if it was the candidate, the next birth takes its part."""
        entry = self._templates.get(child.generation)
        if entry is not None and entry.candidate == child.slot:
            entry.candidate = None
            self._spawn_again(self._take_waiting(entry))
        self.tidy()

    def _take_waiting(self, entry: PreforkTemplate) -> list[WorkerSpec]:
        waiting, entry.waiting = list(entry.waiting.values()), {}
        return waiting

    def _spawn_again(self, specs: Iterable[WorkerSpec]) -> None:
        for spec in specs:
            try:
                self.spawn(spec)
            except REFUSALS as error:
                self._reactor.tell(SpawnFailed(Slot(spec.slot), str(error)))

    def _fork(self, entry: PreforkTemplate, template: Child, spec: WorkerSpec) -> None:
        pipe, theirs = self._children.open_pipe(entry.forked(spec))
        entry.complete(pipe)
        entry.forks[Slot(spec.slot)] = Fork(entry.renewed(spec), pipe)
        self._children.births += 1
        template.pipe.send(encode("fork", {"slot": spec.slot}), (theirs.fileno(), spec.record_fd))
        theirs.close()

    def forked(self, entry: PreforkTemplate, slot: Slot, pid: Pid) -> None:
        """The template has forked a worker, which is the master's child."""
        fork = entry.forks.pop(slot)
        self._children.adopt(fork.spec, pid, fork.pipe)
        self._children.end_birth()
        self._end_if_whole(entry)

    def _end_if_whole(self, entry: PreforkTemplate) -> None:
        """End the first template once it has nothing left to do."""
        if entry.kind is Template.APPLICATION or entry.is_whole or entry.is_expecting:
            return
        entry.is_whole = self._count(entry) >= self._wanted()
        if entry.is_whole:
            self._dismiss(entry)

    def _count(self, entry: PreforkTemplate) -> int:
        return sum(child.generation == entry.generation and not child.is_leaving for child in self._children)

    def fork_failed(self, entry: PreforkTemplate, slot: Slot, error: str) -> None:
        entry.forks.pop(slot).pipe.close()
        self._children.end_birth()
        self._reactor.tell(SpawnFailed(slot, error))

    def end(self, entry: PreforkTemplate) -> None:
        """End a template at once; its death is heard of later, and births under way begin anew then."""
        if entry.template is not None:
            entry.template.kill()

    def _template_exited(self, entry: PreforkTemplate, pid: Pid, code: int) -> None:
        """A template has ended. What it had said is heard; births left undone begin anew if they are still wanted."""
        leaving = self._leaving.pop(pid, None)
        template = leaving.template if leaving is not None else entry.template
        if template is None:
            return
        if leaving is not None:
            leaving.deadline.cancel()
        template.pipe.finish()
        self._children.close(template)
        status, name = outcome(code)
        self._log(entry.events["ended"], generation=entry.generation, pid=template.pid, exit_code=status, signal=name)
        if leaving is not None:
            return
        entry.template = None
        forks, entry.forks = entry.forks, {}
        for slot, fork in forks.items():
            fork.pipe.close()
            self._children.end_birth()
            if fork.is_called_off:
                self._reactor.tell(SpawnFailed(slot, CALLED_OFF))
        self._spawn_again([f.spec for f in forks.values() if not f.is_called_off])


class TemplateListener:
    """Hears what a template says."""

    is_bounded = False

    def __init__(self, prefork: PreforkFactory, entry: PreforkTemplate) -> None:
        self._prefork = prefork
        self._entry = entry

    def hear(self, message: Message) -> None:
        slot, pid = message.fields.get("slot"), message.fields.get("pid")
        if not isinstance(slot, int) or slot not in self._entry.forks:
            raise ValueError(f"{message.verb}: slot {slot!r:.80} is not being born")
        if message.verb == "forked" and isinstance(pid, int):
            self._prefork.forked(self._entry, Slot(slot), Pid(pid))
        elif message.verb == "fork_failed":
            self._prefork.fork_failed(self._entry, Slot(slot), str(message.fields.get("error")))
        else:
            raise ValueError(f"unknown verb {message.verb!r:.80}")

    def hung_up(self, _: str) -> None:
        """It ends, or speaks another language: it is of no use. One that was dismissed has its time."""
        self._prefork.end(self._entry)
