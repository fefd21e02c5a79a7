"""A number that a worker counts is one row, from which everything else is derived; the record is laid out as before."""

from __future__ import annotations

import ast
import math
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_core.connection.counters import Counters
from server_core.contract import figures
from server_core.contract.figures import (
    FIGURES,
    LATENCY_BOUNDS_S,
    LOOP_BEAT_OFFSET,
    ROWS,
    SUMS,
    THREAD_BEAT_OFFSET,
    Figures,
    Kind,
    add_sums,
    pack_figures,
    unpack_figures,
)
from tests.imports import ROOT, sources

LAYOUT = struct.Struct("=qqddd14qd14q65q3q")
"""What masters and workers of all versions have agreed on: native byte order, no padding."""
NUMBERS = (1, 2, 3.5, 4.5, 5.5, *range(6, 20), 20.5, *range(21, 103))
STORED_BY_THE_BEATS = {"pid", "generation", "loop_beat_at", "thread_beat_at", "loop_lag_s"}

LAST_ROW = "    latency_sum_s: Annotated["
ADDED = '    probes_total: Annotated[int, Row(Kind.COUNTER, "Probes.")] = 0\n'
"""One row more, in the middle so that what stands behind it moves."""

USE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("server_core.contract.figures", sys.argv[1])
figures = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = figures
spec.loader.exec_module(figures)

from server_core.connection.counters import Counters
from supervisor_d.control.metrics import exposition
from supervisor_d.control.reference import metrics_table
from supervisor_d.host.observation.record_check import Known, check_figures
from supervisor_d.vocabulary import Slot
from tests.helpers.views import a_view

counters = Counters()
counters.count("probes_total", 3)
record = figures.pack_figures(counters.figures()._replace(pid=101))
stored = figures.unpack_figures(record)
print(stored.probes_total, stored == counters.figures()._replace(pid=101))
last = stored._replace(probes_total=4)
print(check_figures(stored, Known(9.0, 0.0, 2, last)).fault)
view = a_view(figures={Slot(1): stored}, retired=figures.add_sums(stored, stored))
print(*(line for line in exposition(view).splitlines() if "probes" in line), sep="\\n")
print(*(line for line in metrics_table().splitlines() if "probes" in line), sep="\\n")
"""


def test_the_record_is_laid_out_to_the_byte_as_it_always_was() -> None:
    record = LAYOUT.pack(*NUMBERS)
    first = Figures(1, 2, 3.5, 4.5, 5.5, 6, 7, 8, (9, 10, 11, 12, 13), *range(14, 20), 20.5, tuple(range(21, 35)))
    stored = Figures(*first[:17], tuple(range(35, 100)), 100, 101, 102)
    assert pack_figures(stored) == record
    assert unpack_figures(record) == stored
    assert (FIGURES.size, LOOP_BEAT_OFFSET, THREAD_BEAT_OFFSET) == (LAYOUT.size, 16, 24)


def test_each_field_has_a_row_with_as_many_values_as_numbers() -> None:
    assert tuple(ROWS) == Figures._fields
    for name, value in Figures()._asdict().items():
        assert len(ROWS[name].values) == (len(value) if isinstance(value, tuple) else 0), name
        assert bool(ROWS[name].label) == isinstance(value, tuple), name
        assert ROWS[name].help.endswith("."), name


def test_only_sums_are_added() -> None:
    one = unpack_figures(LAYOUT.pack(*NUMBERS))
    both = add_sums(one, one)
    for name, row in ROWS.items():
        old, new = getattr(one, name), getattr(both, name)
        twice = tuple(2 * number for number in old) if isinstance(old, tuple) else 2 * old
        assert new == (twice if row.kind in SUMS else old), name


def counted() -> Iterator[tuple[str, str]]:
    """Where server_core counts: (the row that is named, count or follow), read from the sources."""
    for path in sources():
        if ROOT / "server_core" not in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = ast.unparse(node.func)
                if called.endswith(("counters.count", "._count", "follow")):
                    yield str(node.args[0].value), called.rpartition(".")[2].lstrip("_")


def test_each_row_is_counted_in_one_way_and_each_that_is_counted_is_a_row() -> None:
    """A name that no row has is a KeyError of Counters where it happens: it is found here before."""
    ways = list(counted())
    assert {name for name, _ in ways} == set(ROWS) - STORED_BY_THE_BEATS
    assert len({name for name, _ in ways}) == len(set(ways))
    assert all(ROWS[name].kind is Kind.COUNTER and not ROWS[name].label for name, how in ways if how == "count")


def test_what_no_row_names_is_refused() -> None:
    counters = Counters()
    with pytest.raises(KeyError, match="evictions"):
        counters.count("evictions")
    with pytest.raises(ValueError, match="counter 'evictions': must be a field of Figures"):
        counters.follow("evictions", lambda: 1)
    counters.follow("connections", lambda: 1)
    with pytest.raises(ValueError, match="counter 'connections': must be a field of Figures that is not followed yet"):
        counters.follow("connections", lambda: 2)
    assert counters.figures() == Figures(connections=1)


def test_one_row_more_is_stored_checked_exposed_and_documented(tmp_path: Path) -> None:
    source = Path(figures.__file__).read_text(encoding="utf-8")
    assert source.count(LAST_ROW) == 1
    changed = tmp_path / "figures.py"
    changed.write_text(source.replace(LAST_ROW, ADDED + LAST_ROW), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USE, str(changed)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "3 True",
        "probes_total: must be from 4 to 10000000, not 3",
        "# HELP supervisor_d_probes_total Probes.",
        "# TYPE supervisor_d_probes_total counter",
        "supervisor_d_probes_total 9",
        "| `supervisor_d_probes_total` | counter |  | Probes. |",
    ]


@given(st.integers(0, 2**62), st.floats(0, 1e12), st.lists(st.integers(0, 2**62), min_size=14, max_size=14))
def test_figures_are_read_as_they_were_packed(number: int, instant: float, latency: list[int]) -> None:
    figures = Figures(
        pid=number,
        loop_beat_at=instant,
        thread_beat_at=instant + 1,
        responses=(0, 0, 0, 0, number),
        latency=tuple(latency),
    )
    assert unpack_figures(pack_figures(figures)) == figures


def test_the_two_beats_are_where_the_offsets_say() -> None:
    packed = pack_figures(Figures(loop_beat_at=math.pi, thread_beat_at=math.e))
    assert packed[LOOP_BEAT_OFFSET:].startswith(pack_figures(Figures(loop_beat_at=math.pi))[LOOP_BEAT_OFFSET:][:8])
    assert packed[THREAD_BEAT_OFFSET:].startswith(pack_figures(Figures(thread_beat_at=math.e))[THREAD_BEAT_OFFSET:][:8])
    assert len(Figures().latency) == len(LATENCY_BOUNDS_S) + 1
