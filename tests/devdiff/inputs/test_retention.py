"""A finished run keeps small inputs, and of large ones the way to make them again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs import input_set, retention
from devdiff.inputs.input_set import SYNTHETIC, InputRequest, InputSet
from devdiff.inputs.preprocess import Preprocess
from devdiff.report.html.run_files import RunFiles
from tests.support.bare_reports import typed
from tests.support.command import DATA, DIGITS, devdiff

if TYPE_CHECKING:
    from tests.support.html_runs import FinishedRun

IMAGE = (TensorSpec("image", (1, 1, 28, 28), "float32"),)
COUNT = 40


@pytest.fixture
def all_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEPT_BYTES", 1)


def arrays(folder: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 28, 28), np.uint8)
    np.savez_compressed(folder / "digits.npz", image=images, labels=np.arange(COUNT) % 10)
    return folder / "digits.npz"


def pictures(folder: Path) -> Path:
    (photos := folder / "photos").mkdir()
    for place in range(COUNT):
        pixels = np.random.default_rng(place).integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(photos / f"{place:02}.png")
    return photos


def prepared(folder: Path, request: InputRequest) -> InputSet:
    return input_set.prepare(request, IMAGE, {}, folder / "inputs", calibrate=True)


def values(samples: InputSet) -> tuple[bytes, bytes, bytes]:
    (calibration,) = samples.calibration_arrays.values()
    return (
        samples.arrays["image"][samples.tested].tobytes(),
        calibration.read_bytes(),
        b"" if samples.labels is None else samples.labels.tobytes(),
    )


def tensors(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*[0-9].npy"))


REQUESTS = {
    "arrays": lambda folder: InputRequest(
        arrays(folder), preprocess=Preprocess.parse("scale=1/255"), seed=3
    ),
    "pictures": lambda folder: InputRequest(pictures(folder)),
    "synthetic": lambda folder: InputRequest(seed=4),
    "a calibration set of its own": lambda folder: InputRequest(
        arrays(folder), calibration=pictures(folder), preprocess=Preprocess.parse("scale=1/255")
    ),
}


@pytest.mark.usefixtures("all_released")
@pytest.mark.parametrize("kind", REQUESTS)
def test_inputs_that_were_released_are_made_again_to_the_bit(kind: str, tmp_path: Path) -> None:
    first = prepared(tmp_path, REQUESTS[kind](tmp_path))
    before, folder = values(first), tmp_path / "inputs"
    assert retention.release(folder, IMAGE, [3, 5]) > 0
    assert tensors(folder) == []
    again = prepared(tmp_path, SYNTHETIC)  # as bisect asks: what is recorded counts
    assert values(again) == before
    assert again.sha256 == first.sha256
    assert not list(folder.glob("*.partial"))
    retention.release(folder, IMAGE)
    assert tensors(folder) == []
    places, (shown,) = retention.shown_rows(folder)
    assert np.array_equal(shown[places[5]], again.arrays["image"][5])


@pytest.mark.usefixtures("all_released")
def test_data_that_changed_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path, REQUESTS["arrays"](tmp_path))
    retention.release(tmp_path / "inputs", IMAGE)
    with np.load(tmp_path / "digits.npz") as kept:
        changed = dict(kept)
    changed["image"][7, 0, 3, 3] ^= 1
    np.savez(tmp_path / "digits.npz", **changed)
    with pytest.raises(UsageError, match=r"digits\.npz, which does not give them any more; bring"):
        prepared(tmp_path, SYNTHETIC)
    (tmp_path / "digits.npz").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"does not give them any more: .*; bring the data back"):
        prepared(tmp_path, SYNTHETIC)
    (tmp_path / "digits.npz").unlink()
    with pytest.raises(UsageError, match=r"digits\.npz, which is gone .*--inputs"):
        prepared(tmp_path, SYNTHETIC)
    assert tensors(tmp_path / "inputs") == []


@pytest.mark.usefixtures("all_released")
def test_a_calibration_set_that_changed_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path, REQUESTS["a calibration set of its own"](tmp_path))
    retention.release(tmp_path / "inputs", IMAGE)
    Image.new("L", (28, 28), 7).save(tmp_path / "photos/05.png")
    with pytest.raises(UsageError, match="does not give them any more"):
        prepared(tmp_path, SYNTHETIC)


@pytest.mark.usefixtures("all_released")
def test_what_a_loader_gave_stays(tmp_path: Path) -> None:
    loader = tmp_path / "loader.py"
    loader.write_text(
        "import numpy as np\ndef batches():\n    yield np.zeros((8, 1, 28, 28), np.float32)\n"
    )
    prepared(tmp_path, InputRequest(Path(f"{loader}:batches")))
    assert retention.release(tmp_path / "inputs", IMAGE) == 0
    assert tensors(tmp_path / "inputs") == ["0.npy", "calibration-0.npy"]


def test_small_sets_stay(tmp_path: Path) -> None:
    prepared(tmp_path, REQUESTS["arrays"](tmp_path))
    assert retention.release(tmp_path / "inputs", IMAGE) == 0
    assert tensors(tmp_path / "inputs") == ["0.npy", "calibration-0.npy"]


@pytest.mark.slow
@pytest.mark.usefixtures("all_released")
def test_a_run_without_its_tensors_still_has_its_pictures(
    digits_run: FinishedRun, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(digits_run.folder, tmp_path / "run"))
    report = json.loads((run / "report.json").read_text())
    samples = [int(sample) for sample in report["samples"]]
    before = RunFiles(run, typed(report)).images(samples)
    retention.release(run / "inputs", IMAGE, [s["row"] for s in report["samples"].values()])
    assert tensors(run / "inputs") == []
    after = RunFiles(run, typed(report)).images(samples)
    assert len(after) == len(before) > 1
    assert all(np.array_equal(after[sample], before[sample]) for sample in before)
    np.savez(run / "inputs" / retention.SHOWN, rows=np.arange(9), other=np.arange(9))
    beside = RunFiles(run, typed(report))
    assert beside.images(samples) == {}
    assert "cannot be read" in beside.problems[0]


@pytest.mark.slow
def test_a_large_run_releases_its_inputs_and_is_bisected_all_the_same(tmp_path: Path) -> None:
    with np.load(DATA[1]) as heldout:
        images = np.repeat(heldout["image"], 10, axis=0)
    np.savez_compressed(tmp_path / "many.npz", image=images)
    rest = [str(word) for word in DATA[2:]]
    done = devdiff(
        "export-and-test", DIGITS, "--inputs", "many.npz", *rest,
        "--compress", "channel-prune:0.5+int8", "--run-dir", "run", "--device", "none",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert tensors(tmp_path / "run/inputs") == []
    assert sum(f.stat().st_size for f in (tmp_path / "run/inputs").iterdir()) < 1 << 20
    done = devdiff("bisect", "run", "--between", "float", "int8", "--keep-float", "1", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert tensors(tmp_path / "run/inputs") == []
    (tmp_path / "many.npz").unlink()
    done = devdiff("bisect", "run", "--between", "float", "int8", cwd=tmp_path)
    assert done.returncode == 2
    assert "many.npz, which is gone" in done.stderr
