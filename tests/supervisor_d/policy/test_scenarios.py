"""Every transcript in tests/scenarios is what the policy does today.

`python -m tests.supervisor_d.policy.test_scenarios` rewrites them all; the diff is then reviewed like code.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor_d.log import EVENTS
from supervisor_d.vocabulary import Report
from tests.helpers.transcript import replay

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_the_policy_decides_as_the_transcript_says(path: Path) -> None:
    reports: list[Report] = []
    text = path.read_text(encoding="utf-8")
    assert replay(text, reports) == text
    for report in reports:
        assert report.event in EVENTS, report
        assert report.event != "worker.illegal_transition" or path.stem == "illegal", report
        assert set(report.fields) <= set(EVENTS[report.event].keys), report


def test_the_transcripts_show_every_event_of_a_worker_and_of_the_fleet() -> None:
    """An event that no transcript shows is one that nobody has seen the policy report."""
    shown: list[Report] = []
    for path in SCENARIOS.glob("*.txt"):
        replay(path.read_text(encoding="utf-8"), shown)
    told_by_host = {"worker.hung", "worker.dumped"}  # in answer to RecordIncident
    wanted = {name for name in EVENTS if name.startswith(("worker.", "fleet.", "reload.", "stop."))}
    assert wanted - told_by_host <= {report.event for report in shown}


def rewrite() -> None:
    for path in sorted(SCENARIOS.glob("*.txt")):
        path.write_text(replay(path.read_text(encoding="utf-8"), []), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
