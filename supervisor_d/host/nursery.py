"""Where workers come from: spawned each by itself, or forked from a zygote that has imported their application.

A generation with `preload` has a home. Its first worker is spawned like any other, and told to say after the import
whether it can be forked; births that come meanwhile wait. If it can, it leaves its slot and becomes the generation's
zygote, and whoever waits is forked, its own slot first. If it can not, it goes on as the worker that it is, and the
others are spawned. If it ends before, the next birth is the first one again: failing, back-off and giving up are the
policy's, which sees nothing of this but a worker in a slot, and for the first one a second pid.

A zygote whose generation can have no further births is ended. One that dies is missed only when the next birth comes.
Host side: no judgement but this.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import field, replace
from functools import partial
from typing import Final

from server_core.contract import Message, WorkerSpec, encode
from server_core.records import dataclass
from supervisor_d import clock
from supervisor_d.errors import SupervisorError
from supervisor_d.host.children import Child, Children, outcome
from supervisor_d.host.heartbeat import Pipe
from supervisor_d.host.watcher import Watcher
from supervisor_d.log import Log
from supervisor_d.vocabulary import Generation, Pid, Slot, SpawnFailed, WorkerPreloaded

REFUSALS: Final = (OSError, SupervisorError)

CALLED_OFF: Final = "called off before it began"

PR_SET_CHILD_SUBREAPER: Final = 36
"""linux/prctl.h: orphans among our descendants become our children (prctl(2), since Linux 3.4)."""


VERBS: Final = frozenset(("preloaded", "unforkable", "forked", "fork_failed"))
"""What a process says to its nursery, and the policy does not hear (contract.py)."""


@dataclass(slots=True)
class Fork:
    """A birth that the zygote was ordered to."""

    spec: WorkerSpec
    pipe: Pipe
    is_called_off: bool = False


@dataclass(slots=True)
class Home:
    """What one generation's workers are forked from, or will be."""

    generation: Generation
    began_at: float
    candidate: Slot | None = None
    """The slot whose process imports the application for all."""
    zygote: Child | None = None
    refusal: str | None = None
    """Why this generation's workers cannot be forked."""
    waiting: dict[Slot, WorkerSpec] = field(default_factory=dict)
    forks: dict[Slot, Fork] = field(default_factory=dict)

    @property
    def is_expecting(self) -> bool:
        return bool(self.waiting or self.forks) or self.candidate is not None


class Nursery:
    """All homes by generation."""

    def __init__(self, watcher: Watcher, children: Children, log: Log, newest: Callable[[], Generation]) -> None:
        self._watcher = watcher
        self._children = children
        self._log = log
        self._newest = newest
        self._homes: dict[Generation, Home] = {}
        children.after_exit = self._has_ended

    def home(self, generation: Generation) -> Home | None:
        return self._homes.get(generation)

    def bear(self, spec: WorkerSpec) -> None:
        """See to it that a worker comes to be, told as WorkerSpawned or SpawnFailed. Raises SpawnError or OSError."""
        if not spec.preload:
            self._children.spawn(spec)
            return
        generation = Generation(spec.generation)
        home = self._homes.get(generation)
        if home is None:
            home = self._homes[generation] = Home(generation, clock.now(), refusal=become_subreaper())
            if home.refusal is not None:
                self._log("zygote.refused", generation=generation, reason=home.refusal)
        if home.refusal is not None:
            self._children.spawn(replace(spec, preload=False))
        elif home.zygote is not None:
            self._fork(home, home.zygote, replace(spec, preload=False))
        elif home.candidate is not None:
            home.waiting[Slot(spec.slot)] = spec
        else:
            self._spawn_first(home, spec)

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

    def tidy(self) -> None:
        """End every zygote whose generation is not the newest and has no workers or births any more."""
        needed = {self._newest(), *(child.generation for child in self._children)}
        for home in tuple(self._homes.values()):
            if home.generation not in needed and not home.is_expecting:
                self.end(home)
                del self._homes[home.generation]

    def close(self) -> None:
        """End every zygote at once: each holds copies of the listeners, and nothing that could be lost."""
        for home in tuple(self._homes.values()):
            self.end(home)

    def _spawn_first(self, home: Home, spec: WorkerSpec) -> None:
        slot = Slot(spec.slot)
        verbs = {
            "preloaded": lambda _: self._promote(home, spec),
            "unforkable": lambda fields: self._refuse(home, str(fields.get("reason"))),
        }
        home.candidate, home.began_at = slot, clock.now()
        try:
            self._children.spawn(spec, verbs)
        except BaseException:  # cleans up and raises it again, whatever it is
            home.candidate = None
            raise

    def _promote(self, home: Home, spec: WorkerSpec) -> None:
        """The candidate can be forked: it leaves its slot to the first of its children."""
        slot = Slot(spec.slot)
        if self._children[slot].is_leaving:
            return  # it has been sent a signal, and comes to its end as whatever it is
        self._watcher.tell(WorkerPreloaded(slot))
        zygote = self._children.release(slot, partial(self._bereave, home))
        zygote.pipe.listener = ZygoteListener(self, home)
        home.candidate, home.zygote = None, zygote
        self._log(
            "zygote.preloaded",
            generation=home.generation,
            pid=zygote.pid,
            duration_s=round(clock.now() - home.began_at, 3),
        )
        self._bear_again([spec, *self._take_waiting(home)])

    def _refuse(self, home: Home, reason: str) -> None:
        home.candidate, home.refusal = None, reason
        self._log("zygote.refused", generation=home.generation, reason=reason)
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

    def _fork(self, home: Home, zygote: Child, spec: WorkerSpec) -> None:
        pipe, theirs = self._children.conceive(spec)
        home.forks[Slot(spec.slot)] = Fork(spec, pipe)
        self._children.births += 1
        zygote.pipe.send(encode("fork", {"slot": spec.slot}), (theirs.fileno(), spec.stacks_fd))
        theirs.close()

    def forked(self, home: Home, slot: Slot, pid: Pid) -> None:
        """The zygote has forked a worker, which is the master's child."""
        fork = home.forks.pop(slot)
        self._children.adopt(fork.spec, pid, fork.pipe)
        self._children.end_birth()

    def fork_failed(self, home: Home, slot: Slot, error: str) -> None:
        home.forks.pop(slot).pipe.close()
        self._children.end_birth()
        self._watcher.tell(SpawnFailed(slot, error))

    def end(self, home: Home) -> None:
        """End a zygote at once; its death is heard of later, and births under way begin anew then."""
        if home.zygote is not None:
            with contextlib.suppress(ProcessLookupError):  # a zombie already: reaping it is next
                os.kill(home.zygote.pid, signal.SIGKILL)

    def _bereave(self, home: Home, code: int) -> None:
        """The zygote has ended. What it had said is heard; births left undone begin anew if they are still wanted."""
        zygote, home.zygote = home.zygote, None
        if zygote is None:
            return
        zygote.pipe.finish()
        self._children.close(zygote)
        exit_code, name = outcome(code)
        self._log("zygote.ended", generation=home.generation, pid=zygote.pid, exit_code=exit_code, signal=name)
        forks, home.forks = home.forks, {}
        for slot, fork in forks.items():
            fork.pipe.close()
            self._children.end_birth()
            if fork.is_called_off:
                self._watcher.tell(SpawnFailed(slot, CALLED_OFF))
        self._bear_again([replace(f.spec, preload=True) for f in forks.values() if not f.is_called_off])


class ZygoteListener:
    """Hears what a zygote says."""

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
        """It ends, or speaks another language: it is of no use any more."""
        self._nursery.end(self._home)


def become_subreaper() -> str | None:
    """Have orphans among our descendants become our children; what is in the way, or None. Idempotent."""
    if sys.platform != "linux":
        return "only Linux lets a process take over what another one forks (PR_SET_CHILD_SUBREAPER)"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        return f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(ctypes.get_errno())}"
    return None
