"""Class names are found wherever a model's or a data set's maker put them."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputSet
from devdiff.ladder.class_names import known, of_model
from devdiff.ladder.subject import Subject
from devdiff.report.model import ClassNames
from devdiff.tasks.request import TaskRequest
from devdiff.tasks.resolve import ResolvedTask
from devdiff.tasks.sequence import Reading
from tests.support.command import DIGITS

if TYPE_CHECKING:
    from pathlib import Path


def with_metadata(path: Path, **metadata: str) -> Path:
    model = onnx.load(DIGITS)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "{0: 'cat', 1: 'dog', 3: 'owl'}",
        '{"0": "cat", "1": "dog", "3": "owl"}',
        "['cat', 'dog', '', 'owl']",
    ],
)
def test_names_in_the_metadata_of_an_onnx_file(text: str, tmp_path: Path) -> None:
    path = with_metadata(tmp_path / "m.onnx", task="detect", names=text)
    assert of_model(path) == ("cat", "dog", "", "owl")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cat, dog",
        "{0: 'cat', 'one': 'dog'}",
        "{0: 1}",
        "{-1: 'cat'}",
        "{999999999: 'cat'}",
        "[" * 5000,
        "__import__('os').abort()",
    ],
)
def test_metadata_of_another_form_names_nothing(text: str, tmp_path: Path) -> None:
    assert of_model(with_metadata(tmp_path / "m.onnx", names=text)) == ()


@pytest.mark.parametrize(
    ("blank", "names"),
    [(0, ("", "a", "b", "c")), (2, ("a", "b", "", "c")), (3, ("a", "b", "c", ""))],
)
def test_an_alphabet_leaves_the_blank_without_a_name(blank: int, names: tuple[str, ...]) -> None:
    spec = TensorSpec("y", (1, 8, 4), "float32")
    task = Reading(spec, blank, False, ("a", "b", "c"))
    request = TaskRequest("sequence", {"alphabet": "/somewhere/letters.txt"})
    resolved = ResolvedTask(request, task, None, "")
    read = Subject(DIGITS, "0" * 64, None, (), (), {})
    samples = InputSet({}, np.zeros(0, int), None, {}, "", 0, "photos", False, "0" * 64, (), {}, 0)
    assert known(read, samples, resolved) == ClassNames(names, "letters.txt")
    # As the task reads them: the scores of each class say its symbol.
    scores = np.zeros((1, 8, 4), np.float32)
    order = [names.index(letter) for letter in "cab"]
    scores[0, range(8), [*order, *[blank] * 5]] = 1
    assert task.answer({"y": scores}) == "".join(names[index] for index in order) == "cab"


def test_a_model_without_metadata_has_no_names() -> None:
    assert of_model(DIGITS) == ()


def test_a_damaged_file_has_no_names(tmp_path: Path) -> None:
    whole = with_metadata(tmp_path / "m.onnx", names="['cat', 'dog']").read_bytes()
    for end in (0, 1, 7, len(whole) // 2, len(whole) - 3):
        (tmp_path / "cut.onnx").write_bytes(whole[:end])
        assert of_model(tmp_path / "cut.onnx") == ()
    (tmp_path / "odd.onnx").write_bytes(b"\xff" * 40)
    assert of_model(tmp_path / "odd.onnx") == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "cat\ndog\n"),
        ("labelmap.txt", "cat\ndog"),
        ("metadata.json", json.dumps({"names": {"0": "cat", "1": "dog"}})),
        ("temp_meta.txt", "{'imgsz': [64, 64], 'names': {0: 'cat', 1: 'dog'}}"),
    ],
)
def test_names_packed_behind_a_tflite_file(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(200))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, text)
    assert of_model(path) == ("cat", "dog")


def test_a_tflite_file_with_nothing_behind_it_has_no_names(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(200))
    assert of_model(path) == ()
