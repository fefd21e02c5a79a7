"""The master is spared where it may be, and its workers are what they would have been without it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from supervisor_d.host.processes.oom_score import OomScore


@pytest.mark.parametrize(
    ("before", "after", "workers"), [("0", "-500", 0), ("985\n", "485", 985), ("-17", "-17", None)]
)
def test_the_score_is_lowered_unless_somebody_has_already(
    tmp_path: Path, before: str, after: str, workers: int | None
) -> None:
    own = tmp_path / "oom_score_adj"
    own.write_text(before)
    score = OomScore(own)
    score.protect()
    assert (own.read_text(), score.workers) == (after, workers)


def test_the_score_is_given_back_and_nothing_fails_where_it_cannot_be(tmp_path: Path) -> None:
    place = tmp_path / "self"
    place.mkdir()
    own = place / "oom_score_adj"
    own.write_text("5")
    score = OomScore(own)
    score.protect()
    score.restore()
    assert own.read_text() == "5"
    own.unlink()
    place.rmdir()
    score.restore()


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_where_there_is_no_score_nothing_is_done(tmp_path: Path, content: str | None) -> None:
    own = tmp_path / "oom_score_adj"
    if content is not None:
        own.write_text(content)
    score = OomScore(own)
    score.protect()
    score.expose(1)
    assert score.workers is None
    assert not own.exists() or own.read_text() == content


def test_a_worker_gets_the_score_it_is_to_have_and_one_that_is_gone_is_passed_over() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    score = OomScore()
    score.workers = 321
    with process:
        place = Path(f"/proc/{process.pid}/oom_score_adj")
        if not place.exists():
            pytest.skip("no /proc here")
        score.expose(process.pid)
        assert place.read_text() == "321\n"
        assert process.stdin is not None
        process.stdin.close()
    score.expose(process.pid)
