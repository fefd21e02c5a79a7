"""What was set out to be reached: ours over theirs, in CPU microseconds per request, medians of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PEERS: Final = ("uvicorn", "granian", "gunicorn", "hypercorn", "fastpysgi")
BEST: Final = "best"
"""Whoever of the peers needs least."""


@dataclass(frozen=True, slots=True)
class Goal:
    load: str
    against: str
    ratio: float


GOALS: Final = (
    Goal("hello", "uvicorn", 0.50),
    Goal("hello", "granian", 0.58),
    Goal("hello", "nginx return 200", 1.6),
    Goal("browser", "uvicorn", 0.50),
    Goal("browser", "granian", 0.65),
    Goal("post-1k", "uvicorn", 0.50),
    Goal("post-1k", "granian", 0.33),
    Goal("access-log", "uvicorn", 0.42),
    Goal("access-log", "granian", 0.60),
    Goal("starlette", BEST, 1.0),
    Goal("fastapi", BEST, 1.0),
    Goal("ws-64", BEST, 0.75),
    Goal("ws-16k", BEST, 0.75),
    Goal("h11", "uvicorn h11", 0.75),
    *(
        Goal(load, BEST, 1.05)
        for load in (
            *("post-1m", "large", "chunked", "waiting", "tls", "handshakes", "new-connection", "one", "pipelined"),
            *("ws-broadcast", "file", "workers-2", "workers-4"),
        )
    ),
)


def reached(goal: Goal, costs: Mapping[str, float]) -> tuple[str, float] | None:
    """(whom we were compared with, our cost over theirs), or None if one of the two was not measured."""
    us = "supervisor-d h11" if goal.load == "h11" else "supervisor-d"
    if goal.against == BEST:
        measured = [name for name in PEERS if name in costs]
        them = min(measured, key=lambda name: costs[name]) if measured else ""
    else:
        them = goal.against
    return (them, costs[us] / costs[them]) if us in costs and them in costs else None
