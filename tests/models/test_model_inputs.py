"""Made-up inputs stay in the range of real ones and are the same in every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.models import model_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.models.model_inputs import Array

MADE: dict[str, tuple[Callable[[int], Array], tuple[int, ...], int, int]] = {
    "photos": (lambda seed: model_inputs.photos(3, seed, 40, 56), (3, 1, 3, 40, 56), 0, 1),
    "lines": (lambda seed: model_inputs.text_lines(3, seed, 192), (3, 1, 3, 48, 192), -1, 1),
    "pages": (lambda seed: model_inputs.text_pages(3, seed, 96, 128), (3, 1, 3, 96, 128), -1, 1),
    "files": (lambda seed: model_inputs.file_bytes(9, seed), (9, 1, 2048), 0, 256),
    "sound": (lambda seed: model_inputs.sound(3, seed, 576), (3, 1, 576), -1, 1),
    "notes": (lambda seed: model_inputs.notes(2, seed), (2, 1, 43_844, 1), -1, 1),
}


@pytest.mark.parametrize(("make", "shape", "low", "high"), MADE.values(), ids=MADE)
def test_inputs_depend_on_their_seed_alone(
    make: Callable[[int], Array], shape: tuple[int, ...], low: float, high: float
) -> None:
    first = make(1)

    assert first.shape == shape
    assert low <= first.min() < first.max() <= high
    assert np.array_equal(first, make(1))
    assert not np.array_equal(first, make(2))


def test_samples_of_a_set_differ_from_each_other() -> None:
    for make, *_ in MADE.values():
        samples = make(0)
        assert len({sample.tobytes() for sample in samples}) == len(samples)


def test_every_second_line_stands_on_its_head() -> None:
    upright = model_inputs.text_lines(2, 0, 320)[1, 0]
    turned = model_inputs.text_lines(2, 0, 320, flip=True)[1, 0]
    ink = int(np.flatnonzero(np.abs(upright).max(axis=(0, 1)))[-1]) + 1

    assert np.array_equal(turned[:, :, :ink], upright[:, ::-1, ink - 1 :: -1])
