"""The set of all tasks that asyncio keeps, made cheaper to join and to leave.

Each request is a task, and CPython enters each task into a weakref.WeakSet (up to 3.11 all of them; 3.12 and 3.13 those
that their eager first step does not finish). Its add() is Python, and so is what a task's end calls to be taken out:
together 0.28 us of a request, 0.73 of which its task costs otherwise. What they do fits into a weak reference whose
callback is the set's own discard.

Left out is only what spares an iteration from a change under way: asyncio.all_tasks() begins anew when there was one,
and does so anyway for changes by other threads (asyncio/tasks.py, CPython 3.11 to 3.13). Where the set is none of
these, or is somebody's own, nothing is changed.
"""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import ReferenceType, WeakSet, ref

NAMES: Final = ("_all_tasks", "_scheduled_tasks")
"""What the set is called in asyncio.tasks: up to 3.11, and from 3.12."""


class Entrance:
    """The way into one WeakSet."""

    __slots__ = ("_discard", "_references")

    def __init__(self, references: set[ReferenceType[asyncio.Task[object]]]) -> None:
        self._references = references
        self._discard = references.discard

    def add(self, task: asyncio.Task[object]) -> None:
        """What WeakSet.add does, for a task that is new."""
        self._references.add(ref(task, self._discard))


def lighten() -> bool:
    """Let asyncio enter tasks by the shorter way; False if there is none here. Idempotent."""
    is_lighter = False
    for name in NAMES:
        tasks = getattr(asyncio.tasks, name, None)
        references = getattr(tasks, "data", None)
        if type(tasks) is WeakSet and type(references) is set:
            vars(tasks)["add"] = Entrance(references).add  # of this instance only
            is_lighter = True
    return is_lighter
