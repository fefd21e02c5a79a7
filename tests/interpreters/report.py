"""What runs of the suite came to, read from pytest's own report (JUnit's XML)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


@dataclass
class Outcome:
    """One run on one interpreter."""

    version: str
    system: str
    form: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    """Identifiers of the tests."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reasons."""

    @classmethod
    def read(cls, path: Path, version: str, system: str, form: str) -> Outcome:
        """From a report; without one, nothing ran."""
        outcome = cls(version, system, form)
        cases = ElementTree.parse(path).getroot().iter("testcase") if path.exists() else ()
        for case in cases:
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                outcome.failed.append(f"{case.get('classname')}::{case.get('name')}")
            elif skipped is not None:
                outcome.skipped[skipped.get("message") or "no reason"] += 1
            else:
                outcome.passed += 1
        return outcome

    @property
    def is_empty(self) -> bool:
        """Whether nothing passed, so that nothing was shown."""
        return self.passed == 0


def page(outcomes: Sequence[Outcome]) -> str:
    """A table of them all; then what failed, and why what was skipped was."""
    lines = ["", "| CPython | Form | System | Passed | Failed | Skipped |", "|---|---|---|---|---|---|"]
    for told in outcomes:
        counts = f"{told.passed:,} | {len(told.failed)} | {told.skipped.total()}"
        lines.append(f"| {told.version} | {told.form} | {told.system} | {counts} |")
    for told in outcomes:
        if told.failed or told.skipped:
            lines += ["", f"CPython {told.version}, {told.form}, {told.system}:"]
            lines += [f"- failed: {name}" for name in told.failed]
            lines += [f"- skipped {count}: {reason}" for reason, count in sorted(told.skipped.items())]
    return "\n".join(lines)
