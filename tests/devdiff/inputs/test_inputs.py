"""Input sets are fixed once, fit the model or say why not, and never test what they calibrate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.input_set import InputRequest, InputSet, prepare
from devdiff.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = TensorSpec("image", (1, 1, 28, 28), "float32")
RGB = TensorSpec("image", (1, 3, 16, 24), "float32")


def make(
    folder: Path,
    request: InputRequest,
    *specs: TensorSpec,
    calibrate: bool = True,
    limits: dict[str, int] | None = None,
) -> InputSet:
    return prepare(request, specs or (IMAGE,), limits or {}, folder / "inputs", calibrate)


def digits(folder: Path, samples: int = 40, **extra: Any) -> Path:
    images = np.random.default_rng(0).random((samples, 1, 28, 28), dtype=np.float32)
    np.savez(folder / "digits.npz", image=images, **extra)
    return folder / "digits.npz"


def test_samples_are_those_of_the_file(tmp_path: Path) -> None:
    path = digits(tmp_path)
    inputs = make(tmp_path, InputRequest(path), calibrate=False)
    assert len(inputs) == 40
    with np.load(path) as arrays:
        for index in range(40):
            sample = inputs.sample(index)["image"]
            assert sample.shape == (1, 1, 28, 28)
            np.testing.assert_array_equal(sample[0], arrays["image"][index])


@given(samples=st.integers(2, 60), seed=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_calibration_is_never_tested(
    tmp_path_factory: pytest.TempPathFactory, samples: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    values = np.arange(samples, dtype=np.float32).reshape(samples, 1, 1, 1)
    np.save(folder / "x.npy", np.broadcast_to(values, (samples, 1, 28, 28)))
    inputs = make(folder, InputRequest(folder / "x.npy", seed=seed))
    calibration = set(np.load(inputs.calibration_arrays["image"])[:, 0, 0, 0, 0].tolist())
    tested = {float(inputs.sample(i)["image"][0, 0, 0, 0]) for i in range(len(inputs))}
    assert not calibration & tested
    assert len(calibration | tested) == samples
    assert calibration
    assert any("calibrate the quantization" in note for note in inputs.notes)


def test_a_calibration_set_of_its_own_leaves_all_samples_to_test(tmp_path: Path) -> None:
    path = digits(tmp_path)
    np.save(tmp_path / "calibration.npy", np.ones((5, 1, 28, 28), np.float32))
    inputs = make(tmp_path, InputRequest(path, calibration=tmp_path / "calibration.npy"))
    assert (len(inputs), inputs.calibration_samples) == (40, 5)


def test_labels_follow_the_tested_rows(tmp_path: Path) -> None:
    path = digits(tmp_path, labels=np.arange(40))
    inputs = make(tmp_path, InputRequest(path))
    assert inputs.labels is not None
    np.testing.assert_array_equal(inputs.labels, inputs.tested)


def test_labels_from_text_outrank_those_inside(tmp_path: Path) -> None:
    path = digits(tmp_path, labels=np.zeros(40, int))
    (tmp_path / "labels.txt").write_text("\n".join("3" * 40))
    inputs = make(tmp_path, InputRequest(path, labels=tmp_path / "labels.txt"), calibrate=False)
    assert inputs.labels is not None
    assert set(inputs.labels.tolist()) == {3}


def test_a_second_preparation_takes_what_is_there(tmp_path: Path) -> None:
    path = digits(tmp_path)
    first = make(tmp_path, InputRequest(path))
    path.unlink()
    second = make(tmp_path, InputRequest(path))
    assert first.sha256 == second.sha256
    np.testing.assert_array_equal(first.tested, second.tested)


def test_a_set_that_was_changed_behind_its_hash_is_refused(tmp_path: Path) -> None:
    path = digits(tmp_path)
    make(tmp_path, InputRequest(path))
    fixed = tmp_path / "inputs/0.npy"
    data = bytearray(fixed.read_bytes())
    data[-1] ^= 1
    fixed.write_bytes(data)
    with pytest.raises(UsageError, match="was changed since its run began"):
        make(tmp_path, InputRequest(path))


def test_hash_covers_values_and_choice(tmp_path: Path) -> None:
    path = digits(tmp_path)
    hashes = set()
    for number, request in enumerate(
        (InputRequest(path), InputRequest(path, seed=1), InputRequest(), InputRequest(seed=1))
    ):
        (tmp_path / str(number)).mkdir()
        hashes.add(make(tmp_path / str(number), request).sha256)
    assert len(hashes) == 4


def test_synthetic_images_are_smooth_and_bounded(tmp_path: Path) -> None:
    inputs = make(tmp_path, InputRequest(), RGB)
    assert inputs.synthetic
    assert "numerics" in " ".join(inputs.notes)
    sample = inputs.sample(0)["image"]
    assert sample.min() >= 0
    assert sample.max() <= 1
    neighbours = np.abs(np.diff(sample, axis=3)).mean()
    assert neighbours < 0.5 * sample.std()


def test_synthetic_integers_stay_in_their_table(tmp_path: Path) -> None:
    ids = TensorSpec("ids", (1, 50), "int32")
    mask = TensorSpec("mask", (1, 50), "int64")
    inputs = make(tmp_path, InputRequest(), ids, mask, limits={"ids": 7})
    seen = np.concatenate([inputs.sample(i)["ids"].ravel() for i in range(len(inputs))])
    assert set(seen.tolist()) == set(range(7))
    assert set(np.unique(inputs.sample(0)["mask"])) <= {0, 1}


def picture(path: Path, size: tuple[int, int] = (30, 20), colour: Any = (255, 0, 51)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_images_become_what_the_model_takes(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.jpg", "a/b.PNG"):
        picture(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("not an image")
    inputs = make(tmp_path, InputRequest(tmp_path / "photos"), RGB, calibrate=False)
    assert len(inputs) == 3
    sample = inputs.sample(2)["image"]
    assert sample.shape == (1, 3, 16, 24)
    np.testing.assert_allclose(sample[0, :, 5, 5], [1, 0, 0.2], atol=1e-6)
    assert inputs.preprocess["resize"] == [16, 24]


def test_declared_steps_are_done_in_the_declared_order(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "a.png")
    steps = "mean=0.5:0.25:0,std=0.5:0.25:2,scale=1/255,channels=BGR,layout=NHWC"
    spec = TensorSpec("image", (1, 8, 8, 3), "float32")
    request = InputRequest(tmp_path / "photos", preprocess=Preprocess.parse(steps))
    sample = make(tmp_path, request, spec, calibrate=False).sample(0)["image"]
    np.testing.assert_allclose(sample[0, 3, 3], [(0.2 - 0.5) / 0.5, -1, 0.5], atol=1e-6)


def test_grey_pictures_for_a_model_that_takes_colour_are_refused_as_such(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 1, *RGB.shape[2:]), np.float32))
    with pytest.raises(UsageError, match="grey pictures, and it takes colour"):
        make(tmp_path, InputRequest(tmp_path / "x.npy"), RGB, calibrate=False)
    np.save(tmp_path / "x.npy", np.zeros((4, 2, *RGB.shape[2:]), np.float32))
    with pytest.raises(UsageError, match=r"needs \[N,3,\d+,\d+\] or \[N,1,3,\d+,\d+\]$"):
        make(tmp_path, InputRequest(tmp_path / "x.npy"), RGB, calibrate=False)


def test_arrays_change_layout_only_when_told(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 16, 24, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    with pytest.raises(UsageError, match="add --preprocess layout=NCHW"):
        make(tmp_path, InputRequest(tmp_path / "x.npy"), RGB, calibrate=False)
    steps = Preprocess.parse("layout=NCHW,scale=1/255,mean=0.1:0.2:0.3")
    inputs = make(
        tmp_path, InputRequest(tmp_path / "x.npy", preprocess=steps), RGB, calibrate=False
    )
    expected = images[1].transpose(2, 0, 1) / 255 - np.array([0.1, 0.2, 0.3])[:, None, None]
    np.testing.assert_allclose(inputs.sample(1)["image"][0], expected, atol=1e-6)


def test_bytes_fed_to_a_float_input_are_mentioned(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 1, 28, 28), 200, np.uint8))
    inputs = make(tmp_path, InputRequest(tmp_path / "x.npy"))
    assert any("scale=1/255" in note for note in inputs.notes)
    assert inputs.sample(0)["image"].dtype == np.float32
    assert inputs.sample(0)["image"][0, 0, 0, 0] == 200


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((0, 1, 28, 28), np.float32)}, "zero samples"),
        ({"image": np.zeros((4, 3, 28, 28), np.float32)}, r"float32\[3, 28, 28\], input image"),
        ({"image": np.zeros((4, 1, 28, 28), complex)}, "complex128"),
        (
            {"a": np.zeros((4, 1)), "b": np.zeros((4, 1))},
            "arrays a, b; the model's inputs are image",
        ),
        ({"image": np.array([{"a": 1}], object)}, "Python objects"),
        (
            {"image": np.zeros((4, 1, 28, 28), np.float32), "labels": np.zeros(5, int)},
            "5 labels for 4 samples",
        ),
        (
            {"image": np.zeros((4, 1, 28, 28), np.float32), "labels": np.zeros(4)},
            r"labels in .* are float64\[4\]",
        ),
        ({"image": np.zeros((1, 1, 28, 28), np.float32)}, "has 1 sample: quantization needs"),
        (
            {"image": np.where(np.arange(6 * 784).reshape(6, 1, 28, 28) == 3000, np.nan, 0.0)},
            "sample 3 of input 'image' holds NaN",
        ),
    ],
)
def test_data_that_does_not_fit_is_one_sentence(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UsageError, match=message):
        make(tmp_path, InputRequest(tmp_path / "x.npz"))


def test_arrays_of_different_length_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros((4, 2), np.float32), b=np.zeros((5, 2), np.float32))
    specs = [TensorSpec(name, (1, 2), "float32") for name in "ab"]
    with pytest.raises(UsageError, match="differ in their number of samples"):
        make(tmp_path, InputRequest(tmp_path / "x.npz"), *specs)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = digits(tmp_path).read_bytes()
    path = tmp_path / "cut.npz"
    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        with pytest.raises(UsageError, match=r"cut\.npz"):
            make(tmp_path, InputRequest(path))
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 0xFF
    path.write_bytes(changed)
    with pytest.raises(UsageError, match="damaged"):
        make(tmp_path, InputRequest(path))


def test_a_header_that_claims_too_much_takes_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((4, 1, 28, 28), np.float32))
    data = (tmp_path / "x.npy").read_bytes().replace(b"(4, 1, 28, 28)", b"(9e9,1,28,28) ")
    (tmp_path / "x.npy").write_bytes(data.replace(b"(9e9,1,28,28) ", b"(99999999,1,9)"))
    with pytest.raises(UsageError, match="cut short"):
        make(tmp_path, InputRequest(tmp_path / "x.npy"))


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "b.png").write_bytes(b"not a picture")
    with pytest.raises(UsageError, match=r"b\.png cannot be read"):
        make(tmp_path, InputRequest(tmp_path / "photos"), RGB)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(UsageError, match="holds no images"):
        make(tmp_path, InputRequest(tmp_path / "photos"), RGB)


@pytest.mark.parametrize(
    "text",
    ["resize=3", "scale=zero", "std=0", "mean", "colour=red", "scale=1,scale=2", "layout=XY"],
)
def test_malformed_steps_are_explained(text: str) -> None:
    with pytest.raises(UsageError, match="--preprocess"):
        Preprocess.parse(text)
