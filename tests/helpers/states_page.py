"""Writes contrib/docs/STATES.md from the policy's own tables: `python -m tests.helpers.states_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from supervisor_d.policy.lifecycle import DECISIONS, IMPOSSIBLE, LIFECYCLE, Cause
from supervisor_d.policy.rollout import Phase
from supervisor_d.policy.slot import ALARMS, Fate
from supervisor_d.vocabulary.status import DaemonState, SlotState

PAGE = Path(__file__).parents[2] / "contrib" / "docs" / "STATES.md"

MEANING = {
    SlotState.EMPTY: "no process; appears in no status",
    SlotState.SPAWNING: "a process was ordered; the interpreter is not up yet",
    SlotState.BOOTING: "the application is imported, its lifespan starts",
    SlotState.PROBING: "lifespan start-up is complete; the health probe runs, if there is one",
    SlotState.READY: "serves",
    SlotState.SUSPECT: "its event loop is silent: replaced, recorded, and killed unless it beats again in time",
    SlotState.PARKED: "replaced in a reload; accepts no more, and waits for the verdict",
    SlotState.DRAINING: "finishes what it has and exits",
    SlotState.TERMINATING: "on its way out by SIGTERM or by itself; SIGKILL comes next",
    SlotState.KILLING: "SIGKILL was sent; waits to be reaped",
    SlotState.BACKOFF: "no process; the next one is spawned when the back-off is over",
}


def render() -> str:
    """The page, as it should be."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# States"
    yield ""
    yield "Generated from the tables of `supervisor_d/policy`; do not edit (`python -m tests.helpers.states_page`)."
    yield ""
    yield "## The daemon"
    yield ""
    yield "`" + "`, `".join(state.value for state in DaemonState) + "`"
    yield ""
    yield "A reload runs through: `" + "`, `".join(phase.value for phase in Phase) + "`."
    yield ""
    yield "## A slot"
    yield ""
    yield "| state | meaning | what may be due in it |"
    yield "|---|---|---|"
    for state in SlotState:
        due = "; ".join(sorted(alarm.value for alarm in ALARMS[state])) or "-"
        yield f"| `{state.value}` | {MEANING[state]} | {due} |"
    yield ""
    yield "The `cause` in `last_exit` is one of `" + "`, `".join(fate.value for fate in Fate) + "`."
    yield ""
    yield "## What the policy decides, and where it takes a slot"
    yield ""
    yield from _table([cause for cause in Cause if cause in DECISIONS])
    yield ""
    yield "## What happens, and where it takes a slot"
    yield ""
    yield from _table([cause for cause in Cause if cause not in DECISIONS])
    yield ""
    yield "## What cannot happen, and why"
    yield ""
    for reason, pairs in IMPOSSIBLE.items():
        causes = sorted({cause.value for _, cause in pairs})
        yield f"- {reason}: {len(pairs)} pairs ({', '.join(causes)})"


def _table(causes: list[Cause]) -> Iterator[str]:
    yield "| from | " + " | ".join(cause.value for cause in causes) + " |"
    yield "|---|" + "---|" * len(causes)
    for state, row in LIFECYCLE.items():
        cells = (row[cause].value if cause in row else "" for cause in causes)
        yield f"| **{state.value}** | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
