"""A limited set is spread over the whole one, the same every time, and reads nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs import image_workers, retention
from devdiff.inputs.input_set import InputRequest, InputSet, prepare
from devdiff.inputs.selection import spread
from tests.support.data_sets import RGB, picture

if TYPE_CHECKING:
    from pathlib import Path

VECTOR = TensorSpec("x", (1, 100), "float32")


def numbered(path: Path, count: int = 60) -> Path:
    """Vectors that begin with the number of their row, sorted by class."""
    values = np.random.default_rng(0).random((count, 100), np.float32)
    values[:, 0] = np.arange(count)
    np.savez(path, x=values, labels=np.arange(count) // (count // 3))
    return path


def made(folder: Path, inputs: Path, limit: int | None, **more: object) -> InputSet:
    request = InputRequest(inputs, limit=limit, **more)  # type: ignore[arg-type]
    specs = (RGB,) if inputs.is_dir() else (VECTOR,)
    return prepare(request, specs, {}, folder / f"set-{limit}", calibrate=True)


@pytest.mark.parametrize("seed", range(5))
def test_every_part_of_the_set_is_in_it(seed: int) -> None:
    rows = np.arange(1000, 1600)
    chosen = spread(rows, 20, seed)
    assert len(chosen) == 20
    assert [(row - 1000) // 30 for row in chosen] == list(range(20))
    np.testing.assert_array_equal(chosen, spread(rows, 20, seed))
    assert seed == 0 or chosen.tolist() != spread(rows, 20, 0).tolist()


@pytest.mark.parametrize("count", [91, 100, 101, 4097])
def test_no_row_is_in_it_twice(count: int) -> None:
    rows = np.arange(count) * 3
    for limit in (1, 2, 24, 33, 90):
        for seed in range(20):
            chosen = spread(rows, limit, seed)
            assert len(set(chosen.tolist())) == limit
            assert (np.diff(chosen) > 0).all()


def test_a_limit_that_is_none_changes_nothing() -> None:
    rows = np.arange(7)
    for limit in (7, 8, 100):
        assert spread(rows, limit, 0) is rows


def test_a_limited_set_has_the_calibration_of_the_whole_and_samples_of_all_classes(
    tmp_path: Path,
) -> None:
    inputs = numbered(tmp_path / "samples.npz")
    whole, few = (made(tmp_path, inputs, limit) for limit in (None, 9))
    assert (len(whole), len(few)) == (45, 9)
    assert (whole.available, few.available) == (None, 45)
    assert set(few.tested) < set(whole.tested)
    assert few.labels is not None
    assert set(few.labels.tolist()) == {0, 1, 2}
    for one in (whole, few):
        assert [one.sample(place)["x"][0, 0] for place in range(len(one))] == one.tested.tolist()
    calibration = [np.load(one.calibration_arrays["x"]) for one in (whole, few)]
    np.testing.assert_array_equal(*calibration)
    assert any("9 of 45 samples are tested (--limit)" in note for note in few.notes)
    assert few.to_json()["available"] == 45


def test_a_limit_beyond_the_set_is_none(tmp_path: Path) -> None:
    few = made(tmp_path, numbered(tmp_path / "samples.npz"), 45)
    assert (len(few), few.available) == (45, None)


def test_fewer_synthetic_samples_are_made(tmp_path: Path) -> None:
    few = prepare(InputRequest(limit=5), (VECTOR,), {}, tmp_path / "set", calibrate=False)
    whole = prepare(InputRequest(), (VECTOR,), {}, tmp_path / "whole", calibrate=False)
    assert (len(few), few.available) == (5, 100)
    np.testing.assert_array_equal(few.sample(4)["x"], whole.sample(4)["x"])


@pytest.mark.parametrize("many", [1_000, 1])
def test_files_that_are_not_wanted_are_not_read(
    tmp_path: Path, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_workers, "MANY", many)
    photos = tmp_path / "photos"
    for number in range(24):
        picture(photos / f"{number:02}.png", colour=(10 * number, 0, 255))
    wanted = made(tmp_path, photos, 4)
    rows = {*wanted.tested.tolist(), *np.random.default_rng(0).permutation(24)[:6].tolist()}
    for number in set(range(24)) - rows:
        (photos / f"{number:02}.png").write_bytes(b"no picture")
    again = prepare(InputRequest(photos, limit=4), (RGB,), {}, tmp_path / "again", calibrate=True)
    assert again.sha256 == wanted.sha256
    reds = [float(again.sample(place)[RGB.name].reshape(3, -1)[0, 0]) for place in range(4)]
    assert reds == pytest.approx([10 * row / 255 for row in again.tested])
    assert [again.describe(place)["name"] for place in range(4)] == [
        f"{row:02}.png" for row in again.tested
    ]


def test_a_limited_set_that_was_released_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "KEPT_BYTES", 1)
    inputs = numbered(tmp_path / "samples.npz")
    few = made(tmp_path, inputs, 9)
    assert retention.release(tmp_path / "set-9", (VECTOR,)) > 0
    assert not (tmp_path / "set-9/0.npy").exists()
    again = made(tmp_path, inputs, 9)
    assert again.sha256 == few.sha256
