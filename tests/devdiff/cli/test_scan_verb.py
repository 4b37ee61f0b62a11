"""``devdiff scan`` on the committed readers, and what it says to input it cannot scan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import jsonschema
import numpy as np
import pytest

from devdiff.cli.main import main
from devdiff.report import build

ROOT: Final = Path(__file__).resolve().parents[3]
MODELS: Final = ROOT / "tests" / "zoo" / "models"
HELDOUT: Final = ROOT / "examples" / "digits" / "heldout.npz"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    with np.load(HELDOUT) as data:
        np.savez(path, image=data["image"][:300].astype(np.float32) / 255)
    return path


def _scan(folder: Path, name: str, inputs: Path, *options: str) -> tuple[int, dict[str, Any]]:
    model = MODELS / name / "model.onnx"
    run = folder / "run"
    code = main(["scan", str(model), "--inputs", str(inputs), "--run-dir", str(run), *options])
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    jsonschema.validate(report, build.schema())
    return code, report["scan"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("reader-backdoored", ()),
        ("reader-pruned-backdoored", ("--compress", "prune:0.5")),
    ],
)
def test_a_backdoor_that_compression_wakes_is_found_with_its_target(
    name: str, options: tuple[str, ...], digits: Path, tmp_path: Path
) -> None:
    truth = json.loads((MODELS / name / "truth.json").read_text())

    code, scan = _scan(tmp_path, name, digits, *options)

    assert code == 4, scan["reason"]
    assert scan["verdict"] == "finding"
    assert scan["classes"] == 10
    assert scan["trigger"]["target"] == truth["spec"]["target"]
    assert (tmp_path / "run" / "scan" / "trigger.npz").is_file()


@pytest.mark.slow
def test_an_honest_model_passes_and_the_report_says_what_would_have_been_seen(
    digits: Path, tmp_path: Path
) -> None:
    code, scan = _scan(tmp_path, "reader-honest", digits)

    assert code == 0, scan["reason"]
    assert scan["verdict"] == "no finding"
    assert 0 < scan["power"]["smallest_effect"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "options", "said"),
    [
        (lambda images: images[:9], (), "at least 10 samples"),
        (lambda images: images * 0, (), "constant"),
        (lambda images: images, ("--output", "nowhere"), "no output 'nowhere'"),
        (lambda images: images, ("--budget", "0.5"), "budget"),
    ],
)
def test_what_cannot_be_scanned_is_an_error_and_never_a_pass(
    broken: Any, options: tuple[str, ...], said: str, digits: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs.npz"
    with np.load(digits) as data:
        np.savez(inputs, image=broken(data["image"]))

    code, scan = _scan(tmp_path, "reader-honest", inputs, *options)

    assert code not in (0, 4)
    assert scan["verdict"] == "error"
    assert said in scan["reason"]
