"""The shipped digit classifier is what its README says it is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx

from devdiff.exporter.artifact import sha256_file

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "digits"
README = (FOLDER / "README.md").read_text()


def test_shipped_files_are_the_ones_the_readme_names() -> None:
    named = dict(reversed(line) for line in re.findall(r"^(\w{64})  (\S+)$", README, re.MULTILINE))

    assert named == {name: sha256_file(FOLDER / name) for name in ("digits.onnx", "heldout.npz")}


def test_shipped_files_are_small() -> None:
    assert (FOLDER / "digits.onnx").stat().st_size <= 500_000
    assert (FOLDER / "heldout.npz").stat().st_size <= 400_000


def test_model_takes_one_grey_image_and_gives_ten_logits() -> None:
    model = onnx.load(FOLDER / "digits.onnx")
    onnx.checker.check_model(model, full_check=True)

    (image,), (logits,) = model.graph.input, model.graph.output

    assert (image.name, _shape(image)) == ("image", [1, 1, 28, 28])
    assert (logits.name, _shape(logits)) == ("logits", [1, 10])
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_model_does_not_tell_where_it_was_made() -> None:
    assert not re.search(rb"\.py\b|/site-packages|/home/", (FOLDER / "digits.onnx").read_bytes())


def test_held_out_digits_are_bytes_with_a_label_each() -> None:
    with np.load(FOLDER / "heldout.npz", allow_pickle=False) as data:
        image, labels = data["image"], data["labels"]

    assert (image.dtype, image.shape) == (np.uint8, (800, 1, 28, 28))
    assert (labels.dtype, labels.shape) == (np.int64, (800,))
    assert np.bincount(labels, minlength=10).min() >= 60
    assert len({picture.tobytes() for picture in image}) == 800
    assert image.min() == 0
    assert image.max() == 255


def test_stated_accuracy_is_what_onnxruntime_measures() -> None:
    import onnxruntime

    with np.load(FOLDER / "heldout.npz", allow_pickle=False) as data:
        image, labels = data["image"], data["labels"]
    session = onnxruntime.InferenceSession(FOLDER / "digits.onnx")
    answers = [
        session.run(["logits"], {"image": picture[np.newaxis].astype(np.float32) / 255})[0].argmax()
        for picture in image
    ]

    stated = re.search(r"`heldout\.npz` \| (\d+) of (\d+) ", README)
    assert stated is not None
    assert (np.array(answers) == labels).sum() == int(stated[1])
    assert len(labels) == int(stated[2])
    assert int(stated[1]) / int(stated[2]) >= 0.97


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
