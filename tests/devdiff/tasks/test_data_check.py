"""Data that does not suit the model is told from a model that is not good, by real runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from devdiff.device_runner.host.host_runner import SOURCE_RUNNER
from devdiff.exporter.artifact import Array, TensorSpec, sha256_file
from devdiff.inputs.input_set import InputRequest, prepare
from devdiff.inputs.preprocess import Preprocess
from devdiff.ladder import ladder
from devdiff.progress import SilentEvents
from devdiff.report import load
from devdiff.tasks.data_check import DataCheck, check
from devdiff.verdict import Verdict
from tests.support import onnx_zoo
from tests.support.command import DIGITS, HELDOUT, devdiff

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = 4


def reds(path: Path) -> Path:
    """A classifier of pictures [1, 3, 8, 8] in 0..1 by how much red they hold, in four steps."""
    centres = (np.arange(COLOURS) + 0.5) / COLOURS
    weights = np.zeros((3, COLOURS), np.float32)
    weights[0] = 2 * centres
    return onnx_zoo.save(
        path,
        [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["scores"]),
        ],
        [onnx_zoo.value("image", [1, 3, 8, 8])],
        [onnx_zoo.value("scores", [1, COLOURS])],
        [
            onnx_zoo.constant("w", weights),
            onnx_zoo.constant("b", -(centres**2).astype(np.float32)),
        ],
    )


def pictures(count: int) -> tuple[Array, Array]:
    """Pictures of one colour each, with values of a byte, and which quarter their red lies in."""
    colours = np.random.default_rng(0).integers(0, 256, (count, 3, 1, 1))
    labels = colours[:, 0, 0, 0] * COLOURS // 256
    return np.broadcast_to(colours, (count, 3, 8, 8)).astype(np.uint8), labels


def checked(
    folder: Path, model: Path, images: Array, labels: Array, steps: str = "", classes: int = 10
) -> DataCheck:
    """What the check says after the source rung ran."""
    np.savez(folder / "samples.npz", image=images, labels=labels)
    spec = TensorSpec("image", (1, *images.shape[1:]), "float32")
    scores = TensorSpec("logits" if model == DIGITS else "scores", (1, classes), "float32")
    request = InputRequest(folder / "samples.npz", preprocess=Preprocess.parse(steps))
    samples = prepare(request, (spec,), {}, folder / "inputs", calibrate=False)
    rung = ladder.source_rung(
        model,
        sha256_file(model),
        [ladder.identity(spec)],
        [ladder.identity(scores)],
        SOURCE_RUNNER,
    )
    result = ladder.run_rung(rung, samples, folder, folder / "log", 60, lambda done: None)
    assert result.error is None
    found = check(rung, result, samples, (scores.name,), folder / "trials", 60, SilentEvents())
    assert found is not None
    return found


def digits(count: int = 300) -> tuple[Array, Array]:
    with np.load(HELDOUT) as data:
        return data["image"][:count], data["labels"][:count]


def shuffled(labels: Array) -> Array:
    return np.random.default_rng(0).permutation(labels)


def test_the_digits_suit_their_model(tmp_path: Path) -> None:
    found = checked(tmp_path, DIGITS, *digits(), "scale=1/255")
    assert found.verdict is Verdict.PASS
    assert found.trials == ()


@pytest.mark.slow
def test_shuffled_labels_are_inconclusive_and_nothing_mends_them(tmp_path: Path) -> None:
    images, labels = digits()
    found = checked(tmp_path, DIGITS, images, shuffled(labels), "scale=1/255")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "no better than chance" in found.reason
    assert "none of the usual mistakes that were tried explains it" in found.reason
    assert found.advice == "check labels, class order, channel order and preprocessing"
    assert {trial.kind for trial in found.trials} == {"class order", "scale"}
    assert not any(trial.mends for trial in found.trials)


def test_few_shuffled_labels_are_said_to_be_few(tmp_path: Path) -> None:
    images, labels = digits(15)
    found = checked(tmp_path, DIGITS, images, shuffled(labels), "scale=1/255")
    assert found.verdict is None
    assert "too few to tell that from chance" in found.reason


def test_a_model_that_is_not_good_is_not_blamed_on_the_data(tmp_path: Path) -> None:
    """Right on a third of ten classes."""
    images, labels = digits()
    worse = np.where(np.random.default_rng(1).random(300) < 0.27, labels, shuffled(labels))
    found = checked(tmp_path, DIGITS, images, worse, "scale=1/255")
    assert 0.25 < (found.accuracy.right.rate or 0) < 0.4
    assert found.verdict is Verdict.PASS


def test_the_order_of_the_classes_is_named(tmp_path: Path) -> None:
    images, labels = digits()
    found = checked(tmp_path, DIGITS, images, 9 - labels, "scale=1/255")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "another class order (the 10 classes in reversed order)" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["", "scale=255", "mean=0.485,std=0.229"])
def test_the_scale_that_is_missing_is_named(tmp_path: Path, steps: str) -> None:
    found = checked(tmp_path, DIGITS, *digits(), steps)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "another scale (scale=1/255) it is right on 198 of 200 samples" in found.reason


@pytest.mark.slow
def test_swapped_channels_are_named_where_colour_is_all_there_is(tmp_path: Path) -> None:
    model = reds(tmp_path / "reds.onnx")
    images, labels = pictures(300)
    assert checked(tmp_path, model, images, labels, "scale=1/255", COLOURS).verdict is Verdict.PASS
    (tmp_path / "bgr").mkdir()
    found = checked(tmp_path / "bgr", model, images[:, ::-1], labels, "scale=1/255", COLOURS)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "another channel order (channels reversed (RGB ↔ BGR)) it is right on" in found.reason
    assert found.trials[0].kind == "channel order"
    assert found.trials[0].right.rate == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_swapped_channels_are_named_where_a_model_bears_them(tmp_path: Path, noise: float) -> None:
    """Blue goes with red, so that answers are far better than chance either way; with wrong labels
    most errors stay whatever the channels are."""
    model = reds(tmp_path / "reds.onnx")
    random = np.random.default_rng(0)
    images, labels = pictures(600)
    images = images.copy()
    shift = random.integers(-70, 71, (600, 1, 1))
    images[:, 2] = np.clip(images[:, 0].astype(int) + shift, 0, 255).astype(np.uint8)
    labels = np.where(random.random(600) < noise, random.integers(0, COLOURS, 600), labels)
    honest = checked(tmp_path, model, images, labels, "scale=1/255", COLOURS)
    assert (honest.verdict, honest.trials) == (Verdict.PASS, ())
    (tmp_path / "bgr").mkdir()
    found = checked(tmp_path / "bgr", model, images[:, ::-1], labels, "scale=1/255", COLOURS)
    assert found.accuracy.standing == "above chance"
    assert (found.accuracy.right.rate or 0) > 0.4
    assert found.verdict is Verdict.INCONCLUSIVE
    assert [trial.kind for trial in found.trials] == ["channel order"]
    assert "another channel order (channels reversed (RGB ↔ BGR)) it is right on" in found.reason


def test_grey_pictures_have_no_order_of_channels(tmp_path: Path) -> None:
    images, labels = pictures(300)
    grey = np.repeat(images[:, :1], 3, 1)
    wrong = np.where(np.random.default_rng(1).random(300) < 0.3, shuffled(labels), labels)
    found = checked(tmp_path, reds(tmp_path / "reds.onnx"), grey, wrong, "scale=1/255", COLOURS)
    assert found.verdict is Verdict.PASS
    assert not (tmp_path / "trials").exists()


def test_a_model_that_takes_bytes_is_right_as_it_is(tmp_path: Path) -> None:
    """Other scales are tried, since one may be missing, and none is better."""
    images, labels = pictures(300)
    halved = onnx_zoo.save(
        tmp_path / "bytes.onnx",
        [
            helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["scores"]),
        ],
        [onnx_zoo.value("image", [1, 3, 8, 8])],
        [onnx_zoo.value("scores", [1, COLOURS])],
        [
            onnx_zoo.constant("w", np.array([[64, 192, 320, 448], [0] * 4, [0] * 4], np.float32)),
            onnx_zoo.constant("b", -(np.array([32, 96, 160, 224], np.float32) ** 2)),
        ],
    )
    assert checked(tmp_path, halved, images, labels, "", COLOURS).verdict is Verdict.PASS


@pytest.mark.slow
def test_a_run_with_shuffled_labels_is_inconclusive_in_every_format(tmp_path: Path) -> None:
    images, labels = digits(400)
    np.savez(tmp_path / "shuffled.npz", image=images, labels=shuffled(labels))
    arguments: tuple[Any, ...] = (
        *("export-and-test", DIGITS, "--inputs", "shuffled.npz", "--preprocess", "scale=1/255"),
        *("--device", "none", "--out", "run"),
    )
    done = devdiff(*arguments, cwd=tmp_path)
    report = load.load(tmp_path / "run/report.json").to_json()
    assert done.returncode == report["exit_code"] == 5
    assert report["data_check"]["verdict"] == "inconclusive"
    assert {pair["judgement"]["verdict"] for pair in report["pairs"] if pair["gates"]} == {"pass"}
    said = "no better than chance"
    assert done.stdout.startswith("INCONCLUSIVE  digits.onnx: inputs and labels do not suit")
    assert said in done.stdout
    formats = ("--junit", "j.xml", "--markdown", "m.md")
    assert devdiff("report", "run", *formats, cwd=tmp_path).returncode == 0
    assert said in (tmp_path / "m.md").read_text()
    assert said in (tmp_path / "run/report.html").read_text()
    junit = (tmp_path / "j.xml").read_text()
    assert 'type="inconclusive"' in junit
    assert "logits: inputs and labels" in junit
