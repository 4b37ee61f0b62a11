"""A calibration set of another task, or with values that mean nothing, is not calibrated with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.input_set import InputRequest, InputSet, prepare

if TYPE_CHECKING:
    from pathlib import Path

SPEC = TensorSpec("x", (1, 8), "float32")


def calibrated(folder: Path, calibration: Array) -> InputSet:
    np.save(folder / "x.npy", np.random.default_rng(0).random((20, 8), np.float32))
    np.save(folder / "calibration.npy", calibration)
    request = InputRequest(folder / "x.npy", calibration=folder / "calibration.npy")
    return prepare(request, (SPEC,), {}, folder / "inputs", calibrate=True)


def test_values_of_another_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reach 255 in .*the tested ones .*not prepared alike"):
        calibrated(tmp_path, np.full((5, 8), 255, np.float32))


def test_values_of_a_doubtful_scale_are_mentioned(tmp_path: Path) -> None:
    inputs = calibrated(tmp_path, np.full((5, 8), 9, np.float32))
    assert any("look whether they are of one kind" in note for note in inputs.notes)


def test_values_of_the_same_kind_are_not_mentioned(tmp_path: Path) -> None:
    inputs = calibrated(tmp_path, np.random.default_rng(1).random((5, 8), np.float32))
    assert inputs.notes == ()


def test_shapes_of_another_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"calibration\.npy: samples are float32\[3\]"):
        calibrated(tmp_path, np.zeros((5, 3), np.float32))


def test_nan_is_refused_with_its_sample(tmp_path: Path) -> None:
    values = np.zeros((5, 8), np.float32)
    values[3, 2] = np.nan
    with pytest.raises(UsageError, match=r"calibration\.npy: sample 3 of input 'x' holds NaN"):
        calibrated(tmp_path, values)
