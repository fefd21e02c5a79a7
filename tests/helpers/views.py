"""A Snapshot as a daemon with three slots would give it: one ready, one in back-off, one draining."""

from __future__ import annotations

from dataclasses import replace

from server_core.contract.figures import LATENCY_BOUNDS_S, Figures
from server_core.contract.spec import ListenerSpec
from supervisor_d.control.snapshot import ConfigRow, Snapshot
from supervisor_d.settings.values.identity import Identity
from supervisor_d.vocabulary import Generation, Instant, Origin, Pid, Slot
from supervisor_d.vocabulary.status import (
    DaemonState,
    LastExit,
    LastReload,
    ReloadStatus,
    SlotState,
    SlotStatus,
    Status,
)

NOW = Instant(1000.0)
WALL = 1_767_225_600.0
"""2026-01-01T00:00:00Z"""


def a_slot(number: int, state: SlotState = SlotState.READY, **changes: object) -> SlotStatus:
    slot = SlotStatus(
        slot=Slot(number),
        pid=Pid(100 + number),
        generation=Generation(2),
        state=state,
        since=Instant(990.0),
        spawned_at=Instant(940.0),
        restarts=0,
        last_exit=None,
    )
    return replace(slot, **changes)  # type: ignore[arg-type]  # the dataclass checks the names


def latencies(*counts: int) -> tuple[int, ...]:
    return (*counts, *(0,) * (len(LATENCY_BOUNDS_S) + 1 - len(counts)))


def a_view(**changes: object) -> Snapshot:
    status = Status(
        state=DaemonState.RELOADING,
        generation=Generation(2),
        target=2,
        ready=1,
        slots=(
            a_slot(1),
            a_slot(
                2,
                SlotState.BACKOFF,
                pid=None,
                restarts=4,
                reason="could not boot: ImportError",
                retry_at=Instant(1001.5),
                last_exit=LastExit("crashed", None, "SIGKILL", Instant(880.0), "killed by SIGKILL"),
            ),
            a_slot(3, SlotState.DRAINING),
        ),
        last_reload=LastReload("rolled_back", "no", Generation(3), 2.25, Origin("control", "reload", 7, 0)),
        reload=ReloadStatus("rolling", Generation(4), 1, 2, Instant(997.0)),
    )
    view = Snapshot(
        name="api",
        version="1.2.3",
        app="main:app",
        pid=Pid(77),
        started_at=Instant(100.0),
        now=NOW,
        wall=WALL,
        status=status,
        figures={
            Slot(1): Figures(
                pid=101,
                generation=2,
                loop_beat_at=999.5,
                connections=5,
                in_flight=2,
                requests_total=30,
                responses=(0, 27, 0, 0, 1),
                overloads_total=1,
                evictions_total=2,
                dropped_fields_total=3,
                latency_sum_s=0.25,
                latency=latencies(20, 8),
            )
        },
        retired=Figures(
            requests_total=1000,
            responses=(0, 990, 0, 0, 10),
            overloads_total=4,
            evictions_total=5,
            dropped_fields_total=6,
            latency_sum_s=2.5,
            latency=latencies(900, 0, 100),
        ),
        rss_bytes={Slot(1): 48_000_000},
        listeners=(ListenerSpec(5, "127.0.0.1:8000"),),
        identity=Identity("www", 33, 33, (33,), "/"),
        config=(ConfigRow("workers", "2", "flag --workers"),),
        events=({"seq": 1, "event": "worker.ready", "level": "info", "slot": 1},),
        event_counts={"worker.crashed": 3, "reload.committed": 6},
        incidents=({"id": 1, "kind": "loop_blocked"},),
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # the dataclass checks the names
