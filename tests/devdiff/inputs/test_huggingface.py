"""Data sets that ``save_to_disk`` wrote are read by the package itself."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pytest

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from tests.support.data_sets import WAVE, gradient, picture, prepared, tone

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

VECTOR = TensorSpec("x", (1, 4), "float32")


def saved(folder: Path, columns: dict[str, Any], **features: Any) -> Path:
    rows = datasets.Dataset.from_dict(columns)
    for name, feature in features.items():
        rows = rows.cast_column(name, feature)
    rows.save_to_disk(str(folder / "set"))
    return folder / "set"


def test_images_and_class_labels(tmp_path: Path) -> None:
    pixels = gradient(tmp_path / "a.png", 16, 24)
    picture(tmp_path / "b.png")
    names = datasets.ClassLabel(names=["cat", "dog"])
    files = [str(tmp_path / name) for name in ("a.png", "b.png")]
    path = saved(tmp_path, {"image": files, "label": [1, 0]}, image=datasets.Image(), label=names)
    inputs = prepared(tmp_path, path)
    np.testing.assert_allclose(
        inputs.sample(0)["image"][0], pixels.transpose(2, 0, 1) / 255, atol=1e-6
    )
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [1, 0]
    assert inputs.known_classes == ("cat", "dog")
    assert inputs.preprocess["scale"] == pytest.approx(1 / 255)


def test_sound(tmp_path: Path) -> None:
    wave = tone(tmp_path / "a.wav", samples=2000)
    path = saved(tmp_path, {"audio": [str(tmp_path / "a.wav")]}, audio=datasets.Audio())
    inputs = prepared(tmp_path, path, WAVE, "length=1600")
    np.testing.assert_allclose(inputs.sample(0)["wave"][0], wave[:1600] / 32768, atol=1e-7)


def test_numbers_of_one_split(tmp_path: Path) -> None:
    values = np.arange(40, dtype=np.float32).reshape(10, 4)
    rows = datasets.Dataset.from_dict({"features": values.tolist(), "label": [-1] * 10})
    datasets.DatasetDict({"train": rows, "test": rows.select(range(6))}).save_to_disk(
        str(tmp_path / "set")
    )
    with pytest.raises(UsageError, match=r"has the splits train, test: name one, .*set:train"):
        prepared(tmp_path, tmp_path / "set", VECTOR)
    inputs = prepared(tmp_path, tmp_path / "set:test", VECTOR)
    assert len(inputs) == 6
    assert inputs.labels is None
    np.testing.assert_array_equal(inputs.sample(2)["x"][0], values[2])


def test_columns_that_fit_no_input_are_listed(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": [[1.0] * 4], "b": [[2.0] * 4]})
    with pytest.raises(UsageError, match="has the columns a, b; the model's inputs are x"):
        prepared(tmp_path, path, VECTOR)


def test_a_damaged_set_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"x": [[1.0] * 4]})
    (path / "state.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a readable data set"):
        prepared(tmp_path, path, VECTOR)


def test_without_the_package_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, {"x": [[1.0] * 4]})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'devdiff\[datasets\]'"):
        prepared(tmp_path, path, VECTOR)
