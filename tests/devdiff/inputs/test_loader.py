"""A user's own Python file gives batches; what is wrong with it is said with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputRequest, prepare
from tests.support.data_sets import RGB, prepared

if TYPE_CHECKING:
    from pathlib import Path

LOADER = """\
import numpy as np
import beside

def batches():
    print("this is not the report")
    for number in range(3):
        yield {"image": np.full((2, 3, 16, 24), beside.VALUE + number, "float32"), "labels": [0, 1]}

def arrays():
    yield np.zeros((2, 16, 24, 3), np.uint8), np.array([3, 4])

def wrong_shape():
    yield np.zeros((2, 3, 16, 24), "float32")
    yield np.zeros((2, 3, 8, 24), "float32")

def fails():
    yield np.zeros((2, 3, 16, 24), "float32")
    raise KeyError("missing")

def nothing():
    return []

def words():
    yield np.array(["a", "b"])

def uneven():
    yield {"image": np.zeros((2, 3, 16, 24), "float32"), "labels": [1]}

def leaves():
    raise SystemExit(3)

def dies():
    import os
    os.abort()

number = 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loader")
    (folder / "loader.py").write_text(LOADER)
    (folder / "beside.py").write_text("VALUE = 5\n")
    (folder / "broken.py").write_text("x = 1\ndef batches(:\n")
    return folder


def test_batches_become_samples_with_labels(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = prepared(tmp_path, folder / "loader.py:batches")
    assert [inputs.sample(i)["image"][0, 0, 0, 0] for i in range(6)] == [5, 5, 6, 6, 7, 7]
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [0, 1, 0, 1, 0, 1]
    said = capfd.readouterr()
    assert "not the report" not in said.out
    assert "not the report" in said.err
    assert not (tmp_path / "run-inputs/staged").exists()


def test_arrays_of_a_loader_are_preprocessed_as_any(folder: Path, tmp_path: Path) -> None:
    inputs = prepared(tmp_path, folder / "loader.py:arrays", RGB, "layout=NCHW,scale=2,mean=-1")
    np.testing.assert_array_equal(inputs.sample(1)["image"], np.ones((1, 3, 16, 24)))
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("loader.py:wrong_shape", r"batch 1: it holds .*\[N,3,8,24\], the first .*\[N,3,16,24\]"),
        ("loader.py:fails", r"the loader failed: .*loader\.py:18: KeyError: 'missing'"),
        ("loader.py:nothing", "gave zero samples"),
        ("loader.py:words", "image is <U1, not numbers"),
        ("loader.py:uneven", "2 of image, 1 of labels"),
        ("loader.py:leaves", "SystemExit: 3"),
        ("loader.py:dies", "killed by SIGABRT"),
        ("loader.py:nowhere", "has no function 'nowhere'"),
        ("loader.py:number", "has no function 'number'"),
        ("loader.py", "name the function that gives batches"),
        ("broken.py:batches", r"broken\.py:2: "),
        ("gone.py:batches", "gone.py does not exist"),
    ],
)
def test_a_loader_that_fails_says_where(
    folder: Path, tmp_path: Path, named: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        prepared(tmp_path, folder / named)


def test_a_model_with_several_inputs_needs_names(folder: Path, tmp_path: Path) -> None:
    specs = (RGB, TensorSpec("other", (1, 2), "float32"))
    for function, message in (("arrays", "yield a dict"), ("batches", "has arrays image")):
        request = InputRequest(folder / f"loader.py:{function}")
        with pytest.raises(UsageError, match=message):
            prepare(request, specs, {}, tmp_path / "inputs", calibrate=False)
