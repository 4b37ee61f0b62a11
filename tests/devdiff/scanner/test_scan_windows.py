"""Squares of a picture: where they lie, and that a search with them finds a planted patch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from devdiff.scanner.objective import ToClass
from devdiff.scanner.search_job import SearchSettings
from devdiff.scanner.successive_halving import Arm, Hypothesis, search
from devdiff.scanner.window import Square
from devdiff.scanner.window_places import Place, places


@pytest.mark.parametrize("shape", [(3, 32, 32), (32, 32, 3), (3, 48, 32)])
def test_a_window_is_searched_as_its_trigger_has_it(shape: tuple[int, ...]) -> None:
    samples = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    for place in places(shape):
        window = Square(place, shape, 0.0, 1.0, torch.Generator().manual_seed(1))
        changed, size = window.change(torch.from_numpy(samples), searching=False)
        mask, pattern = window.mask(), window.pattern()

        np.testing.assert_array_equal(
            changed.detach().numpy(), samples * (1 - mask) + mask * pattern
        )
        assert set(np.unique(mask)) == {0, 1}
        assert mask.sum() == place.side**2 == 64
        assert float(size.detach()) == 0


def test_windows_lie_in_the_corners_in_the_middle_and_anywhere() -> None:
    found = places((3, 32, 32))

    assert {(place.row, place.column) for place in found if not place.anywhere} == {
        *((0, 0), (0, 24), (24, 0), (24, 24), (12, 12)),
    }
    assert sum(place.anywhere for place in found) == 1
    assert places((16,)) == places((1, 28, 28)) == places((28, 28, 1)) == ()


def test_a_window_for_anywhere_moves_while_it_is_searched() -> None:
    shape, generator = (3, 32, 32), torch.Generator().manual_seed(0)
    window = Square(Place(8, 12, 12, anywhere=True), shape, 0.0, 1.0, generator)
    blank = torch.full((1, *shape), 2.0)

    seen = {tuple(torch.nonzero(window.change(blank)[0][0, 0] != 2)[0].tolist()) for _ in range(20)}

    assert len(seen) > 10
    assert max(max(corner) for corner in seen) <= 24


def _found(row: int, column: int) -> Hypothesis:
    """Among all windows towards three classes, where class 1 is what a white square at ``row`` and
    ``column`` turns the compressed model to."""
    samples = torch.rand((12, 3, 32, 32), generator=torch.Generator().manual_seed(2)) * 0.5

    def full(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full((len(x),), 2.0), x.mean((1, 2, 3)), -x.mean((1, 2, 3))], 1)

    def compressed(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        square = x[:, :, row : row + 4, column : column + 4].mean((1, 2, 3))
        return full(x, rows) + torch.tensor([0.0, 1.0, 0.0]) * (20 * square - 12)[:, None]

    arms = [
        Arm(ToClass(target), "patch", window=place)
        for target in range(3)
        for place in places((3, 32, 32))
    ]
    settings = SearchSettings(rounds=(20, 30), finish=20, size_weight=0.0)
    return search(full, compressed, samples, torch.arange(12), arms, settings, low=0.0, high=1.0)[0]


@pytest.mark.parametrize(("row", "column"), [(1, 1), (26, 27), (14, 13)])
def test_the_window_over_a_planted_patch_is_found(row: int, column: int) -> None:
    best = _found(row, column)

    assert best.arm.objective.target == 1
    assert best.success == 1
    place = best.arm.window
    assert place is not None
    assert place.row <= row <= place.row + 4
    assert place.column <= column <= place.column + 4
