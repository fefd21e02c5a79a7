"""The table of attacks names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hostile.__main__ import ATTACKS

PROCESS = Path(__file__).parents[1] / "process"


@pytest.mark.parametrize("name", sorted({attack.test for attack in ATTACKS}))
def test_each_attack_is_tried_by_a_test_of_the_suite(name: str) -> None:
    file, _, function = name.partition("::")
    assert re.search(rf"^def {function}\(", (PROCESS / file).read_text(encoding="utf-8"), re.MULTILINE)
