"""True answers are matched with their samples by name, or are as many; what is wrong is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputRequest, InputSet, prepare
from devdiff.inputs.preprocess import Preprocess
from devdiff.tasks.request import TaskRequest
from devdiff.tasks.resolve import ResolvedTask, resolve_task
from tests.support.data_sets import picture

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = TensorSpec("image", (1, 3, 32, 32), "float32")
VECTOR = TensorSpec("y", (1, 3), "float32")
MASK = TensorSpec("mask", (1, 2, 32, 32), "float32")
BOXES = TensorSpec("head", (1, 6, 20), "float32")
STEPS = TensorSpec("steps", (1, 5, 4), "float32")


def images(folder: Path, steps: str = "") -> InputSet:
    """Two images of 64x32 pixels, b.png before c.png."""
    for name in ("c", "b"):
        picture(folder / f"photos/{name}.png", (64, 32))
    request = InputRequest(folder / "photos", preprocess=Preprocess.parse(steps))
    return prepare(request, (IMAGE,), {}, folder / "inputs", calibrate=False)


def arrays(folder: Path, count: int = 3) -> InputSet:
    np.save(folder / "x.npy", np.zeros((count, 3, 32, 32), np.float32))
    return prepare(InputRequest(folder / "x.npy"), (IMAGE,), {}, folder / "inputs", calibrate=False)


def settled(text: str, output: TensorSpec, samples: InputSet, truth: Path | None) -> ResolvedTask:
    return resolve_task(TaskRequest.parse(text, truth), [output], (IMAGE,), samples, ())


def truth_of(text: str, output: TensorSpec, samples: InputSet, truth: Path, index: int) -> Any:
    found = settled(text, output, samples, truth).truth
    assert found is not None
    return found(index)


def coco(path: Path, names: tuple[str, ...] = ("c.png", "b.png")) -> Path:
    """An object of category 7 at (16, 8) of 32x16 pixels on the first of ``names``."""
    data = {
        "images": [{"id": 10 + i, "file_name": name} for i, name in enumerate(names)],
        "categories": [{"id": 7}, {"id": 3}],
        "annotations": [{"image_id": 10, "category_id": 7, "bbox": [16, 8, 32, 16]}],
    }
    path.write_text(json.dumps(data))
    return path


def test_boxes_of_coco_are_found_by_file_name_and_moved(tmp_path: Path) -> None:
    samples, path = images(tmp_path, "resize=letterbox:32x32"), coco(tmp_path / "coco.json")
    objects = truth_of("detection:format=yolo", BOXES, samples, path, 1)
    assert objects.boxes.tolist() == [[8, 12, 24, 20]]
    assert objects.classes.tolist() == [1]
    assert truth_of("detection:format=yolo", BOXES, samples, path, 0).boxes.shape == (0, 4)
    by_id = truth_of("detection:format=yolo,categories=ids", BOXES, samples, path, 1)
    assert by_id.classes.tolist() == [7]


def test_boxes_of_yolo_and_npz_files_mean_the_same(tmp_path: Path) -> None:
    samples = images(tmp_path)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/b.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    np.savez(tmp_path / "truth/c.npz", boxes=[[16.0, 8, 48, 24]], classes=[1])
    for index in (0, 1):
        objects = truth_of("detection:format=yolo", BOXES, samples, tmp_path / "truth", index)
        assert objects.boxes.tolist() == [[8, 8, 24, 24]]
        assert objects.classes.tolist() == [1]


def test_boxes_of_arrays_are_in_the_order_of_ids(tmp_path: Path) -> None:
    path = coco(tmp_path / "coco.json", ("x", "y", "z"))
    objects = truth_of("detection:format=yolo", BOXES, arrays(tmp_path), path, 0)
    assert objects.boxes.tolist() == [[16, 8, 48, 24]]


def test_masks_follow_their_image(tmp_path: Path) -> None:
    samples = images(tmp_path, "resize=letterbox:32x32")
    (tmp_path / "masks").mkdir()
    mask = np.zeros((32, 64), np.uint8)
    mask[:, 32:] = 1
    for name in "bc":
        Image.fromarray(mask).save(tmp_path / f"masks/{name}.png")
    moved = truth_of("segmentation:ignore=9", MASK, samples, tmp_path / "masks", 0)
    assert (moved[:8] == 9).all()
    assert (moved[8:24, :16] == 0).all()
    assert (moved[8:24, 16:] == 1).all()


def test_masks_may_be_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "masks.npy", np.ones((3, 32, 32), np.uint8))
    samples = arrays(tmp_path)
    moved = truth_of("segmentation", MASK, samples, tmp_path / "masks.npy", 2)
    assert (moved == 1).all()


def test_values_and_texts_are_matched_by_path(tmp_path: Path) -> None:
    samples = images(tmp_path)
    single = TensorSpec("y", (1, 1), "float32")
    (tmp_path / "t.csv").write_text("path,target,text\nc.png,2.5,cab\nb.png,-1,abc\n")
    assert truth_of("regression", single, samples, tmp_path / "t.csv", 0).tolist() == [-1]
    (tmp_path / "abc.txt").write_text("a\nb\nc\n")
    task = f"sequence:alphabet={tmp_path / 'abc.txt'}"
    assert truth_of(task, STEPS, samples, tmp_path / "t.csv", 1) == "cab"


def test_truth_follows_the_tested_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((40, 3, 32, 32), np.float32))
    np.save(tmp_path / "y.npy", np.arange(120.0).reshape(40, 3))
    request = InputRequest(tmp_path / "x.npy")
    samples = prepare(request, (IMAGE,), {}, tmp_path / "inputs", calibrate=True)
    for index in (0, len(samples) - 1):
        row = int(samples.tested[index])
        truth = truth_of("regression", VECTOR, samples, tmp_path / "y.npy", index)
        assert truth.tolist() == [3 * row, 3 * row + 1, 3 * row + 2]


@pytest.mark.parametrize(
    ("text", "output", "name", "content", "message"),
    [
        ("regression", VECTOR, "t.txt", "1\n2\n", "truth of 2 samples, the inputs are 3"),
        ("regression", VECTOR, "t.txt", "1\n2\n3\n", "1 values a sample, the output has 3"),
        ("regression", VECTOR, "t.txt", "1\nnan\n3\n", None),
        ("regression", VECTOR, "t.txt", "1\nx\n3\n", "must be a number"),
        ("regression", VECTOR, "t.csv", "path,text\na,b\n", "no column 'target'"),
        ("detection:format=yolo", BOXES, "t.json", "[]", "is not COCO's JSON"),
        ("detection:format=yolo", BOXES, "t.json", '{"images": []}', "is not COCO's JSON"),
        ("sequence", STEPS, "t.txt", "a\nb\nc\n", "alphabet=FILE"),
        ("embedding", VECTOR, "t.txt", "1\n", "give --labels"),
    ],
)
def test_truth_that_does_not_fit_is_explained(
    tmp_path: Path, text: str, output: TensorSpec, name: str, content: str, message: str | None
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message or "NaN|1 values"):
        settled(text, output, arrays(tmp_path), tmp_path / name)


def test_a_mask_or_an_image_that_is_missing_is_named(tmp_path: Path) -> None:
    samples = images(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(UsageError, match=r"but none for b\.png"):
        settled("segmentation", MASK, samples, tmp_path / "masks")
    with pytest.raises(UsageError, match=r"holds neither b\.npz nor b\.txt"):
        settled("detection:format=yolo", BOXES, samples, tmp_path / "masks")
    path = coco(tmp_path / "coco.json", ("c.png", "other.png"))
    with pytest.raises(UsageError, match=r"says nothing of b\.png"):
        settled("detection:format=yolo", BOXES, samples, path)


def test_an_alphabet_must_name_every_class(tmp_path: Path) -> None:
    (tmp_path / "abc.txt").write_text("a\n")
    with pytest.raises(UsageError, match="has 1 symbols, the output has 4 classes"):
        settled(f"sequence:alphabet={tmp_path / 'abc.txt'}", STEPS, arrays(tmp_path), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poetry", "no such task; there are classification"),
        ("detection:size=3", "'size=3' is no option of it; they are boxes="),
        ("segmentation:axis=1,axis=3", "axis is given twice"),
        ("classification:top", "no option"),
    ],
)
def test_malformed_tasks_are_explained(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TaskRequest.parse(text)


def test_a_model_with_several_outputs_needs_the_one_that_is_read(tmp_path: Path) -> None:
    samples = arrays(tmp_path)
    with pytest.raises(UsageError, match=r"name the output it reads, output=NAME; there are y"):
        resolve_task(TaskRequest.parse("regression"), [VECTOR, MASK], (IMAGE,), samples, ())
    with pytest.raises(UsageError, match="there is no output 'z'"):
        resolve_task(TaskRequest.parse("regression:output=z"), [VECTOR], (IMAGE,), samples, ())


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=np.zeros((3, 3, 32, 32), np.float32), labels=[0, 1, 3])
    request = InputRequest(tmp_path / "x.npz")
    samples = prepare(request, (IMAGE,), {}, tmp_path / "inputs", calibrate=False)
    with pytest.raises(UsageError, match=r"labels run from 0 to 3, but output y .* 0 to 2"):
        settled("classification", VECTOR, samples, None)


TOKENS = TensorSpec("tokens", (1, 6), "int64")
NUMBERS = TensorSpec("map", (1, 32, 32), "int64")


def test_true_tokens_are_numbers_or_spelled_texts(tmp_path: Path) -> None:
    samples = arrays(tmp_path, 2)
    (tmp_path / "tokens.txt").write_text("5 6 7 2 0\n7 7\n")
    said = truth_of("sequence:end=2,pad=0", TOKENS, samples, tmp_path / "tokens.txt", 0)
    assert said == (5, 6, 7)
    (tmp_path / "spelled.txt").write_text("ab\nb\n")
    (tmp_path / "alphabet.txt").write_text("a\nb\n")
    text = f"sequence:alphabet={tmp_path / 'alphabet.txt'}"
    assert truth_of(text, TOKENS, samples, tmp_path / "spelled.txt", 0) == "ab"
    with pytest.raises(UsageError, match="true tokens are whole numbers"):
        settled("sequence", TOKENS, samples, tmp_path / "spelled.txt")


@pytest.mark.parametrize(
    ("text", "output", "message"),
    [
        ("sequence:blank=0", TOKENS, "blank= means nothing where output tokens"),
        ("sequence:layout=CT", TOKENS, "layout= means nothing"),
        ("sequence:decode=ctc", TOKENS, "none of tokens"),
        ("sequence:end=2", STEPS, "end= means nothing where output steps .* decode=ctc"),
        ("sequence", VECTOR, "name the output it reads"),
        ("sequence:output=y", VECTOR, "nor is it a row of tokens"),
        ("segmentation:axis=1", NUMBERS, "leave axis=1 out"),
        ("segmentation:classes=4", MASK, "classes=4 is for outputs that hold class numbers"),
    ],
)
def test_options_that_mean_nothing_for_an_output_are_refused(
    tmp_path: Path, text: str, output: TensorSpec, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        settled(text, output, arrays(tmp_path), None)


def test_masks_are_held_to_maps_of_class_numbers(tmp_path: Path) -> None:
    masks = np.arange(3)[:, None, None] * np.ones((3, 32, 32), np.int64)
    np.save(tmp_path / "masks.npy", masks)
    said = truth_of("segmentation", NUMBERS, arrays(tmp_path), tmp_path / "masks.npy", 2)
    np.testing.assert_array_equal(said, masks[2])


def test_columns_that_are_taken_for_granted_stand_in_the_report(tmp_path: Path) -> None:
    output = TensorSpec("found", (1, 20, 6), "float32")
    found = settled("detection", output, arrays(tmp_path), None)
    assert found.request.options == {"columns": "x1:y1:x2:y2:score:class"}
