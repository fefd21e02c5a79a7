"""The garbage collector is held back for as long as much is imported, unless somebody has said how it should be."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from server_core.runtime.gc_thresholds import IMPORT_GC_THRESHOLD, few_collections


@pytest.fixture(autouse=True)
def threshold() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_the_threshold_is_raised_meanwhile(threshold: tuple[int, int, int]) -> None:
    with few_collections():
        assert gc.get_threshold() == (IMPORT_GC_THRESHOLD, *threshold[1:])
    assert gc.get_threshold() == threshold


def test_it_is_put_back_when_an_import_fails(threshold: tuple[int, int, int]) -> None:
    with pytest.raises(ImportError), few_collections():
        raise ImportError
    assert gc.get_threshold() == threshold


@pytest.mark.parametrize("own", [0, IMPORT_GC_THRESHOLD + 1])
def test_who_has_switched_it_off_or_set_a_higher_one_keeps_it(own: int) -> None:
    gc.set_threshold(own)
    with few_collections():
        assert gc.get_threshold()[0] == own
    assert gc.get_threshold()[0] == own


def test_a_threshold_that_is_set_meanwhile_is_kept() -> None:
    with few_collections():
        gc.set_threshold(4321)
    assert gc.get_threshold()[0] == 4321
