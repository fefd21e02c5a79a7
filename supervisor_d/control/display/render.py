"""The control API's objects as text for a person at a terminal; pure.

Every function takes the object as it came over the socket and gives lines without a final newline. Widths fit 80
columns, and colour is the caller's decision. Whatever an object holds may have come from a client of the application
(a path, an exception's text), so unprintable characters are escaped: a request must not steer an operator's terminal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from supervisor_d.control.display.safe_text import Object, child, children, fact, indented, text
from supervisor_d.control.display.terminal import (
    COLOURS,
    ago,
    coloured,
    duration,
    painted,
    printable,
    size,
    table,
    wrapped,
)

UNCUT: Final = 100_000
"""A width for what must not be shortened: a setting's source is half of the answer."""

COLUMNS: Final = (
    "SLOT",
    "IDX",
    "PID",
    "GEN",
    "STATE",
    "AGE",
    "BEAT",
    "REQS",
    "BUSY",
    "CONN",
    "RSS",
    "RESTART",
)

LABELLED: Final = 13
"""Where what is said of a label begins."""

LONG_KEYS: Final = ("traceback", "stacks")
"""Values of many lines: they stand below their event, as they are."""


def status(told: Object, *, colour: bool = False) -> str:
    """`ctl status`: the daemon in a few lines, then its workers."""
    numbers = child(told, "workers")
    head = [
        f"{text(told, 'name')}: {painted(text(told, 'state'), colour)}",
        f"generation {text(told, 'generation')}",
        f"{text(numbers, 'ready')} of {text(numbers, 'target')} workers ready",
        f"up {duration(told.get('uptime_s'))}",
    ]
    lines = [", ".join(head), f"  daemon     pid {text(told, 'pid')}, supervisor-d {text(told, 'version')}"]
    if text(told, "reason"):
        lines.append(f"  reason     {text(told, 'reason')}")
    lines.append(f"  app        {text(told, 'app')}")
    user = child(told, "identity")
    if user and user.get("uid") != user.get("master_uid"):
        lines.append(f"  user       {text(user, 'user')} (uid {text(user, 'uid')})")
    lines += [f"  listening  {text(row, 'address')} (fd {text(row, 'fd')})" for row in children(told, "listeners")]
    if lost := lost_listeners(told):
        lines.append(f"  lost       {lost}")
    if child(told, "template"):
        lines.append(f"  template   {forking_line(child(told, 'template'), 'the server')}")
    if child(told, "preload"):
        lines.append(f"  preload    {forking_line(child(told, 'preload'), 'the application')}")
    if child(told, "reload"):
        lines.append(f"  reload     {reload_line(child(told, 'reload'))}")
    if child(told, "last_reload"):
        lines.append(f"  reloaded   {last_reload_line(child(told, 'last_reload'), colour)}")
    return "\n".join([*(part for line in lines for part in wrapped(line, LABELLED)), "", workers(told, colour=colour)])


def forking_line(told: Object, imported: str) -> str:
    """From where workers are forked, and what that saves; or why they are not."""
    if text(told, "refusal"):
        return f"not forked: {text(told, 'refusal')}"
    saved = told.get("saved_bytes")
    if not text(told, "pid"):
        return f"importing {imported}" if saved is None else f"workers were forked, which saves {size(saved)} of memory"
    if isinstance(saved, int) and saved < 0:  # a new template beside workers of the one before, or one worker alone
        gain = f"costs {size(-saved)} of memory until more of them are"
    else:
        gain = f"saves {size(saved) if saved is not None else 'an unknown amount'} of memory"
    return f"workers are forked from pid {text(told, 'pid')}, which {gain}"


def workers(told: Object, *, colour: bool = False) -> str:
    """`ctl workers`: the table, and below it why a slot does not serve, and how its last process ended."""
    slots = children(told, "slots")
    if not slots:
        return "no workers"
    lines = table(COLUMNS, [slot_cells(slot) for slot in slots], colour=colour)
    for slot in slots:
        threads = child(slot, "threads")
        if threads:
            busy = f"{text(threads, 'busy')} of {text(threads, 'most')} threads busy"
            lines += wrapped(f"slot {text(slot, 'slot')}: {busy}, {text(threads, 'queued')} requests wait for one", 4)
        if text(slot, "reason"):
            retry = f"; next try in {duration(slot['retry_in_s'])}" if slot.get("retry_in_s") is not None else ""
            lines += wrapped(f"slot {text(slot, 'slot')}: {text(slot, 'reason')}{retry}", 4)
        if child(slot, "last_exit"):
            ended = last_exit(child(slot, "last_exit"), text(told, "time"))
            lines += wrapped(f"slot {text(slot, 'slot')}: its last process {ended}", 4)
    return "\n".join(lines)


def slot_cells(slot: Object) -> tuple[str, ...]:
    return (
        text(slot, "slot"),
        text(slot, "index"),
        text(slot, "pid") or "-",
        text(slot, "generation"),
        text(slot, "state"),
        duration(slot.get("age_s")),
        duration(slot.get("beat_age_s")),
        text(slot, "requests_total"),
        text(slot, "in_flight"),
        text(slot, "connections"),
        size(slot.get("rss_bytes")),
        text(slot, "restarts"),
    )


def last_exit(told: Object, now: str) -> str:
    how = text(told, "signal") or f"exit code {text(told, 'exit_code')}"
    return f"{text(told, 'cause').replace('_', ' ')} ({how}) {ago(text(told, 'at'), now)}"


def reload_line(reload: Object) -> str:
    return (
        f"{painted(text(reload, 'phase'), False)}, generation {text(reload, 'generation')}, "
        f"{text(reload, 'replaced')} of {text(reload, 'target')} replaced, {duration(reload.get('duration_s'))} so far"
    )


def last_reload_line(last_reload: Object, colour: bool) -> str:
    origin = child(last_reload, "origin")
    asked = f"{text(origin, 'how')} by {text(origin, 'by')}" + "".join(
        f", {key} {text(origin, key)}" for key in ("uid", "pid") if text(origin, key)
    )
    reason = f": {text(last_reload, 'reason')}" if text(last_reload, "reason") else ""
    return (
        f"generation {text(last_reload, 'generation')} {painted(text(last_reload, 'outcome'), colour)} "
        f"in {duration(last_reload.get('duration_s'))} ({asked}){reason}"
    )


def config(told: Object) -> str:
    """`ctl config`: one setting a line."""
    rows = [tuple(text(row, key) for key in ("name", "value", "source")) for row in children(told, "settings")]
    return "\n".join(table(("NAME", "VALUE", "SOURCE"), rows, limit=UNCUT))


def capacity(told: Object) -> str:
    """`ctl explain workers`: the arithmetic, line by line."""
    numbers, memory = child(told, "workers"), child(told, "memory")
    lines = [
        f"workers  {text(numbers, 'target')} wanted, {text(numbers, 'ready')} ready; "
        f"the setting is {text(told, 'setting')} ({text(told, 'source')})",
        f"auto     {text(told, 'auto') or 'not known yet'}, the least of",
    ]
    reasons = told.get("reasons")
    lines += [f"         {printable(str(reason))}" for reason in (reasons if isinstance(reasons, list) else [])]
    if not memory:
        return "\n".join([*lines, "memory   not limited"])
    lines.append(f"memory   {size(memory.get('used_bytes'))} used of {size(memory.get('limit_bytes'))}")
    if told.get("room_for_more") is not None:
        largest = size(told.get("largest_worker_bytes"))
        lines.append(
            f"         room for {text(told, 'room_for_more')} more workers of {largest}, as the largest has now"
        )
    return "\n".join(lines)


def readiness(told: Object) -> str:
    """`ctl health --ready`: why, in a line."""
    numbers = child(told, "workers")
    reason = f"; {text(told, 'reason')}" if text(told, "reason") else ""
    counts = f"{text(told, 'state')}, {text(numbers, 'ready')} of {text(numbers, 'target')} workers ready"
    lost = lost_listeners(told)
    return f"{counts}{'; ' if lost else ''}{lost}{reason}"


def lost_listeners(told: Object) -> str:
    """Where no client reaches the daemon; empty if that is nowhere."""
    lost = told.get("lost_listeners")
    addresses = ", ".join(printable(str(address)) for address in lost) if isinstance(lost, list) else ""
    return f"no client reaches {addresses}" if addresses else ""


def events(told: Object, *, colour: bool = False) -> str:
    """`ctl events`."""
    return "\n".join(event(row, colour=colour) for row in children(told, "events"))


def event(told: Object, *, colour: bool = False) -> str:
    """One event: when, what, its facts that have a value; a traceback stands below it."""
    hidden = ("timestamp", "event", "level", "logger_pid", *LONG_KEYS)
    shown_facts = {key: value for key, value in told.items() if key not in hidden and value is not None}
    facts = " ".join(f"{printable(key)}={fact(value)}" for key, value in shown_facts.items())
    level = text(told, "level")
    name = text(told, "event")
    shown = coloured(name, COLOURS[level]) if colour and level in COLOURS else name
    lines = [f"{text(told, 'timestamp')} {shown}{' ' * max(0, 22 - len(name))} {facts}".rstrip()]
    for key in LONG_KEYS:
        lines += indented(told.get(key))
    return "\n".join(lines)


def progress(told: Object) -> str:
    """One line while `ctl reload` waits."""
    known = ("phase", "generation", "replaced", "target")
    if all(key in told for key in known):
        line = f"{painted(text(told, 'phase'), False)}: generation {text(told, 'generation')}"
        line += f", {text(told, 'replaced')} of {text(told, 'target')} replaced"
        return f"{line}, {text(told, 'ready')} ready" if "ready" in told else line
    return " ".join(f"{printable(key)}={fact(value)}" for key, value in told.items())


def verdict(told: Object, *, colour: bool = False) -> str:
    """How a reload ended, without its traceback (which belongs on standard error)."""
    if "outcome" not in told:
        return refusal(told)
    took = f" after {duration(told['duration_s'])}" if told.get("duration_s") is not None else ""
    reason = f": {text(told, 'reason')}" if text(told, "reason") else ""
    number = f"generation {text(told, 'generation')} " if text(told, "generation") else ""
    waiting = told.get("awaiting_restart")
    names = ", ".join(printable(str(name)) for name in waiting) if isinstance(waiting, list) else ""
    rest = f"; changed, too, but applied by a restart alone: {names}" if names else ""
    return f"{number}{painted(text(told, 'outcome'), colour)}{took}{reason}{rest}"


def restarted(told: Object) -> str:
    """How a restart went: its outcome; of a slot in back-off, which is not waited for, its new state."""
    return text(told, "outcome") or f"back-off cut short, {text(told, 'state')}"


def refusal(told: object) -> str:
    """One line for an answer that is an error."""
    if not isinstance(told, Mapping):
        return printable(str(told))
    return (
        text(told, "error") or text(told, "reason") or " ".join(f"{key}={fact(value)}" for key, value in told.items())
    )
