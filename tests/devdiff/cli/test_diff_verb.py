"""``devdiff diff`` on what run and export-and-test left."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.support.command import DIGITS, HELDOUT, devdiff

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SAMPLES = 200
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a test of the digits model and single runs on the same samples.

    Those in ``photos`` lie in folders named after their classes.
    """
    folder = tmp_path_factory.mktemp("diff")
    with np.load(HELDOUT) as arrays:
        images, labels = arrays["image"], arrays["labels"]
    scaled = images.astype(np.float32) / 255
    np.savez(folder / "samples.npz", image=scaled[:SAMPLES], labels=labels[:SAMPLES])
    np.savez(folder / "calibration.npz", image=scaled[SAMPLES:])
    np.save(folder / "labels.npy", labels[:SAMPLES])
    np.savez(folder / "unlabelled.npz", image=scaled[:SAMPLES])
    for number, (image, label) in enumerate(zip(images[:SAMPLES], labels[:SAMPLES], strict=True)):
        place = folder / "photos" / NAMES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.reshape(28, 28)).save(place / f"{number}.png")
    (folder / "classes.txt").write_text("\n".join(NAMES))
    data = ("--inputs", "samples.npz", "--calibration", "calibration.npz")
    ran(folder, "export-and-test", DIGITS, *data, "--device", "none", "--out", "test")
    (folder / "int8.tflite").write_bytes((folder / "test/artifacts/int8.tflite").read_bytes())
    photos = ("--inputs", "photos", "--preprocess", "scale=1/255")
    for name, model, inputs in (
        ("source", DIGITS, data[:2]),
        ("int8", "int8.tflite", data[:2]),
        ("unlabelled", DIGITS, ("--inputs", "unlabelled.npz")),
        ("seen", DIGITS, photos),
        ("seen-int8", "int8.tflite", photos),
    ):
        ran(folder, "run", model, *inputs, "--out", name)
    return folder


def ran(folder: Path, *words: str | Path) -> str:
    done = devdiff(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def judged(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = devdiff("diff", *words, "--json", cwd=folder)
    assert done.returncode == code, (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_test_stands_for_its_last_rung_and_any_can_be_named(kept: Path) -> None:
    report = json.loads((kept / "test/report.json").read_text())
    whole = next(pair for pair in report["pairs"] if pair["step"] == "all")
    found = judged(kept, "test:source", "test")
    assert (found["reference"], found["candidate"]) == ("test:source", "test:int8")
    assert found["comparison"]["outputs"] == whole["comparison"]["outputs"]
    conversion = judged(kept, "test:source", "test:float")
    assert conversion["step"] == "conversion"
    done = devdiff("diff", "test:sourze", "test", cwd=kept)
    assert done.returncode == 2
    assert "did you mean source?" in done.stderr


def test_a_run_and_a_test_are_compared_where_their_samples_are_the_same(
    kept: Path, tmp_path: Path
) -> None:
    found = judged(kept, "int8", "test", "--exact")
    assert found["step"] == "deployment"
    assert found["comparison"]["outputs"][0]["differing_elements"] == 0
    other = tmp_path / "other"
    ran(kept, "run", DIGITS, "--out", str(other))
    done = devdiff("diff", "test", other, cwd=kept)
    assert done.returncode == 2
    assert "ran on different inputs" in done.stderr


def test_a_rung_that_could_not_run_is_an_error_and_no_pass(kept: Path) -> None:
    """A library that is no TensorFlow Lite: the device rung fails, the others ran."""
    library = np.core._multiarray_umath.__file__
    data = ("--inputs", "samples.npz", "--calibration", "calibration.npz")
    device = ("--device", "local", "--runtime", library)
    done = devdiff("export-and-test", DIGITS, *data, *device, "--out", "broken", cwd=kept)
    assert done.returncode == 3, done.stderr
    done = devdiff("diff", "test", "broken", cwd=kept)
    assert done.returncode == 3
    assert "rung device of broken could not run" in done.stderr
    assert judged(kept, "test", "broken:int8")["step"] == "deployment"


def test_a_rung_whose_outputs_were_changed_is_refused(kept: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(kept / "test", tmp_path / "copy")
    data = bytearray((copy / "rungs/int8.pack").read_bytes())
    data[-100] ^= 1
    (copy / "rungs/int8.pack").write_bytes(data)
    done = devdiff("diff", kept / "test", copy, cwd=tmp_path)
    assert done.returncode == 2
    assert "int8.pack was changed" in done.stderr


def test_a_task_is_measured_as_the_test_measured_it(kept: Path) -> None:
    report = json.loads((kept / "test/report.json").read_text())
    asked = ("test:source", "test", "--task", "classification")
    found = judged(kept, *asked)
    for mine, its in ((found["task"]["rungs"][1], "int8"), (found["task"]["rungs"][0], "source")):
        theirs = next(rung for rung in report["task"]["rungs"] if rung["rung"] == its)
        assert mine["values"] == theirs["values"]
    assert found["task"]["truth"] == "labels"
    assert "task: classification, judged against labels" in ran(kept, "diff", *asked)


def test_a_task_that_loses_more_than_is_allowed_fails(kept: Path) -> None:
    asked = ("source", "int8", "--task", "regression")
    assert judged(kept, *asked)["task"]["from_source"]
    strict = judged(kept, *asked, "--max-drop", "0", code=1)
    assert strict["judgement"]["verdict"] == "fail"
    # True values of as many samples as there are, or none.
    np.save(kept / "truth.npy", np.zeros((SAMPLES - 1, 10)))
    done = devdiff("diff", *asked, "--truth", "truth.npy", cwd=kept)
    assert done.returncode == 2
    assert f"the truth of {SAMPLES - 1} samples, the inputs are {SAMPLES}" in done.stderr


def accuracy(found: dict[str, Any]) -> float:
    right = found["comparison"]["classifications"][0]["accuracy"]["reference"]
    share: float = right["successes"] / right["trials"]
    return share


def test_labels_that_are_names_are_numbered_by_the_models_own_order(kept: Path) -> None:
    # Folders in the order of their names: eight is class 0.
    assert accuracy(judged(kept, "seen", "seen-int8")) < 0.5
    assert accuracy(judged(kept, "seen", "seen-int8", "--classes", "classes.txt")) > 0.9
    (kept / "few.txt").write_text("\n".join(NAMES[:9]))
    for words, said in (
        (
            ("seen", "seen-int8", "--classes", "few.txt"),
            "'nine' among the labels of photos is none",
        ),
        (("source", "int8", "--classes", "classes.txt"), "are numbers already"),
        (("unlabelled", "unlabelled", "--classes", "classes.txt"), "are not there"),
    ):
        done = devdiff("diff", *words, cwd=kept)
        assert done.returncode == 2
        assert said in done.stderr


def test_labels_can_be_given_afterwards(kept: Path) -> None:
    assert not judged(kept, "unlabelled", "unlabelled")["comparison"]["classifications"]
    labelled = ("unlabelled", "unlabelled", "--labels", "labels.npy")
    assert accuracy(judged(kept, *labelled)) > 0.9


def test_a_run_beside_its_source_model_goes_by_its_names(kept: Path, tmp_path: Path) -> None:
    """Only then can it be compared with the source's run where the export renamed a tensor."""
    out = str(tmp_path / "out")
    data = ("--inputs", "samples.npz")
    ran(kept, "run", "int8.tflite", "--source", DIGITS, *data, "--out", out)
    record = json.loads((tmp_path / "out/run.json").read_text())
    source = json.loads((kept / "source/run.json").read_text())
    assert record["specs"] == source["specs"]
    assert [one["source"]["name"] for one in record["outputs"]] == [
        one["source"]["name"] for one in source["outputs"]
    ]
    assert judged(kept, "source", out)["step"] == "compression"
