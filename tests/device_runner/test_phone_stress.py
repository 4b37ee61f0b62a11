"""Rounds of bad luck with fixed seeds; scripts/stress_device.py plays many more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.phone_stress import play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.phone_bench import Digits

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_run_with_bad_luck_is_right_or_says_what_happened(
    phone_place: Path, digits: Digits, seed: int
) -> None:
    story, outcome = play(seed, digits)
    print(f"{seed}: {story}: {outcome}")
