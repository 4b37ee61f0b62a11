"""``devdiff scan`` on the committed readers, and what it says to input it cannot scan."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from devdiff.cli.main import main
from devdiff.inputs.input_set import InputRequest
from devdiff.ladder.export_run import ExportRequest, export_model
from devdiff.options import ModelSpec
from devdiff.scanner import verdict_rules
from devdiff.scanner.search_plan import SearchPlan
from tests.support import onnx_zoo, planted_net
from tests.support.html_runs import finished_run
from tests.support.schemas import report_schema

if TYPE_CHECKING:
    from tests.support.demonstration import Demonstration
    from tests.support.html_runs import FinishedRun

ROOT: Final = Path(__file__).resolve().parents[3]
MODELS: Final = ROOT / "tests" / "zoo" / "models"
# Else a busy machine would search less than an idle one, and whatever is attached to it would run.
UNHURRIED: Final = ("--budget", "36000", "--device", "none")
HELDOUT: Final = ROOT / "examples" / "digits" / "heldout.npz"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    with np.load(HELDOUT) as data:
        np.savez(path, image=data["image"][:300].astype(np.float32) / 255)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``float.tflite``, ``int8.tflite`` and ``inputs.npz`` of a net that is scanned in seconds."""
    folder = tmp_path_factory.mktemp("small")
    model = onnx_zoo.save(
        folder / "small.onnx",
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])],
        [onnx_zoo.value("x", [1, 1, 6, 6])],
        [onnx_zoo.value("y", [1, 3])],
        [onnx_zoo.weights("w", 36, 3)],
    )
    np.savez(folder / "inputs.npz", x=np.random.default_rng(0).random((80, 1, 6, 6), np.float32))
    request = ExportRequest(ModelSpec(model), data=InputRequest(inputs=folder / "inputs.npz"))
    export_model(request, folder)
    return folder


def _scan(folder: Path, model: Path, inputs: Path, *options: str) -> tuple[int, dict[str, Any]]:
    run = folder / "run"
    code = main(
        [
            *("scan", str(model), "--inputs", str(inputs), "--out", str(run)),
            *(*UNHURRIED, *options),
        ]
    )
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    jsonschema.validate(report, report_schema())
    return code, report["scan"]


@pytest.mark.slow
def test_a_backdoor_that_int8_wakes_is_found_with_its_target(demonstration: Demonstration) -> None:
    truth = json.loads((MODELS / "reader-backdoored" / "truth.json").read_text())
    report = demonstration.scans["backdoored"]
    jsonschema.validate(report, report_schema())
    scan = report["scan"]

    assert (report["exit_code"], scan["verdict"]) == (4, "finding"), scan["reason"]
    assert scan["classes"] == 10
    assert scan["trigger"]["target"] == truth["spec"]["target"]
    assert (demonstration.folder / "scan-backdoored" / "scan" / "trigger.npz").is_file()
    placebo = scan["placebo"]
    assert len(placebo["transfer"]) >= 19
    assert placebo["transfer_own"] > 0.8
    assert placebo["transfer_p"] == placebo["transfer_smallest_p"] <= 0.05
    carriers = scan["carriers"]
    assert (carriers["names"], carriers["together"]) == (["rounding"], False)
    assert "it wakes when weights are rounded: re-round" in scan["reason"]
    assert len(carriers["widened"]) == 19
    assert min(carriers["widened"]) > 0.8


def _finished_scan(folder: Path, name: str, inputs: Path, *options: str) -> FinishedRun:
    """The same, or what it came to earlier."""
    shutil.copy(MODELS / name / "model.onnx", folder)
    shutil.copy(inputs, folder)
    given = ("model.onnx", "--inputs", inputs.name, *UNHURRIED, *options)
    return finished_run(folder, *given, verb="scan")


@pytest.mark.slow
def test_a_backdoor_that_pruning_wakes_is_found_with_its_target(
    digits: Path, tmp_path: Path
) -> None:
    name = "reader-pruned-backdoored"
    truth = json.loads((MODELS / name / "truth.json").read_text())

    run = _finished_scan(tmp_path, name, digits, "--compress", "prune:0.5")

    scan = run.report["scan"]
    assert (run.report["exit_code"], scan["verdict"]) == (4, "finding"), scan["reason"]
    assert scan["trigger"]["target"] == truth["spec"]["target"]
    assert (run.folder / "scan" / "trigger.npz").is_file()
    assert len(scan["placebo"]["transfer"]) >= 19
    assert scan["placebo"]["transfer_own"] > 0.8
    assert scan["carriers"]["names"] == ["pruning"]


@pytest.mark.slow
def test_a_second_look_holds_every_sample_out_once_and_one_without_time_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = planted_net.save(tmp_path / "planted.onnx")
    np.savez(tmp_path / "images.npz", image=planted_net.images(150))
    # The first look is enough here, so a second one is asked for.
    monkeypatch.setattr(verdict_rules, "wants_second_look", lambda evidence: True)
    code, scan = _scan(tmp_path, model, tmp_path / "images.npz", "--placebos", "1")

    assert code == 4, scan["reason"]
    assert scan["samples"] == {"searched": 50, "held_out": 50, "swapped": True}
    gap = scan["replay"]["gap"]
    assert gap["trials"] == scan["calibrated"]["trials"] >= 60
    assert gap["low"] > 0.65
    assert sum(part["trials"] for part in scan["replay"]["by_class"]) == 100
    assert len(scan["placebo"]["searched"]) == 2, "one more placebo"
    assert 0 <= scan["placebo"]["p_beats"] <= 1
    assert 0 <= scan["placebo"]["benign"] < 0.1

    def late(searches: SearchPlan) -> None:
        raise TimeoutError

    # The searches of the first look are there already.
    (tmp_path / "run" / "report.json").unlink()
    monkeypatch.setattr(SearchPlan, "other_half", late)
    code, hurried = _scan(tmp_path, model, tmp_path / "images.npz", "--placebos", "1")
    assert code == 4
    assert not hurried["samples"]["swapped"]
    assert hurried["replay"]["gap"]["trials"] <= 50
    assert "no time for a second look" in hurried["power"]["text"]


@pytest.mark.slow
def test_an_honest_model_passes_and_the_report_says_what_would_have_been_seen(
    demonstration: Demonstration,
) -> None:
    report = demonstration.scans["honest"]
    jsonschema.validate(report, report_schema())

    assert (report["exit_code"], report["scan"]["verdict"]) == (0, "no finding")
    assert 0 < report["scan"]["power"]["smallest_effect"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "options", "said"),
    [
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

    code, scan = _scan(tmp_path, MODELS / "reader-honest" / "model.onnx", inputs, *options)

    assert code not in (0, 4)
    assert scan["verdict"] == "error"
    assert said in scan["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (9, "of 9 too few are left"),
        (10, "too few to show any trigger: give"),
        (24, "too few to show a trigger that fails now and then"),
    ],
)
def test_too_few_inputs_to_find_anything_are_inconclusive_in_every_format(
    samples: int, said: str, small: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    inputs = tmp_path / "inputs.npz"
    with np.load(small / "inputs.npz") as data:
        np.savez(inputs, x=data["x"][:samples])
    run = tmp_path / "run"

    code = main(
        [
            *("scan", str(small / "int8.tflite"), *UNHURRIED),
            *("--inputs", str(inputs)),
            *("--float", str(small / "float.tflite"), "--out", str(run)),
            *("--classifier", "y"),
        ]
    )

    report = json.loads((run / "report.json").read_text())
    jsonschema.validate(report, report_schema())
    assert (code, report["verdict"], report["exit_code"]) == (5, "inconclusive", 5)
    assert report["scan"]["verdict"] == "inconclusive"
    assert said in report["scan"]["reason"]
    assert report["summary"].startswith("the scan decides nothing: ")
    shown = capsys.readouterr().out
    assert "scan: inconclusive" in shown
    page = (run / "report.html").read_text()
    assert "? inconclusive" in page
    assert main(
        [
            *("report", str(run), "--junit", str(tmp_path / "j.xml")),
            *("--sarif", str(tmp_path / "s.sarif"), "--markdown", str(tmp_path / "m.md")),
        ]
    ) in (0, 5)
    assert 'type="inconclusive"' in (tmp_path / "j.xml").read_text()
    sarif = json.loads((tmp_path / "s.sarif").read_text())["runs"][0]
    assert [one["ruleId"] for one in sarif["results"]][:1] == ["DD006"]
    assert "Scan: ? inconclusive" in (tmp_path / "m.md").read_text()


@pytest.mark.slow
def test_synthetic_inputs_are_inconclusive(tmp_path: Path) -> None:
    planted_net.save(tmp_path / "model.onnx")
    run = finished_run(tmp_path, "model.onnx", "--placebos", "1", *UNHURRIED, verb="scan")

    assert (run.report["exit_code"], run.report["scan"]["verdict"]) == (5, "inconclusive")
    assert "the inputs are synthetic" in run.report["scan"]["reason"]


@pytest.mark.slow
def test_the_float_file_of_other_tensor_names_is_paired_by_order_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run([sys.executable, "-c", _PAIR, str(tmp_path)], check=True, capture_output=True)
    run = tmp_path / "run"

    code = main(
        [
            *("scan", str(tmp_path / "int8.tflite"), "--float", str(tmp_path / "float.tflite")),
            *("--inputs", str(tmp_path / "inputs.npz"), *UNHURRIED, "--out", str(run)),
        ]
    )

    report = json.loads((run / "report.json").read_text())
    assert code in (0, 4), report["summary"]
    note = "they are paired by order: input_1 is input_1_int8"
    assert any(note in one for one in report["inputs"]["notes"])
    assert note in capsys.readouterr().out
    assert [rung["error"] for rung in report["rungs"]] == [None, None]
    (pair,) = report["pairs"]
    assert pair["comparison"]["outputs"][0]["snr_db"] > 20


_PAIR: Final = """
import sys
import numpy as np
import tensorflow as tf

def model(name):
    image = tf.keras.Input((8, 8, 3), name=name)
    flat = tf.keras.layers.Flatten()(tf.keras.layers.Conv2D(8, 3, activation="relu")(image))
    return tf.keras.Model(image, tf.keras.layers.Dense(5)(flat))

tf.keras.utils.set_random_seed(0)
floating, compressed = model("input_1"), model("input_1_int8")
compressed.set_weights(floating.get_weights())
images = np.random.default_rng(0).random((80, 8, 8, 3), np.float32)
np.savez(f"{sys.argv[1]}/inputs.npz", images)
open(f"{sys.argv[1]}/float.tflite", "wb").write(
    tf.lite.TFLiteConverter.from_keras_model(floating).convert()
)
to_int8 = tf.lite.TFLiteConverter.from_keras_model(compressed)
to_int8.optimizations = [tf.lite.Optimize.DEFAULT]
to_int8.representative_dataset = lambda: ([one[None]] for one in images)
to_int8.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
to_int8.inference_input_type = to_int8.inference_output_type = tf.int8
open(f"{sys.argv[1]}/int8.tflite", "wb").write(to_int8.convert())
"""
"""What MLPerf Tiny ships: one model, twice, whose inputs go by two names."""


def _two_inputs(path: Path) -> None:
    """Scores from a picture and a vector: ``left`` [1, 1, 8, 8] and ``right`` [1, 4]."""
    random = np.random.default_rng(0)
    weights = {
        "seen": random.normal(0, 0.5, (64, 5)),
        "told": random.normal(0, 0.5, (4, 5)),
    }
    nodes = [
        helper.make_node("Flatten", ["left"], ["flat"]),
        helper.make_node("MatMul", ["flat", "seen"], ["first"]),
        helper.make_node("MatMul", ["right", "told"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["scores"]),
    ]
    sizes = {"left": [1, 1, 8, 8], "right": [1, 4], "scores": [1, 5]}
    left, right, scores = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in sizes.items()
    )
    constants = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    ]
    graph = helper.make_graph(nodes, "two", [left, right], [scores], constants)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


@pytest.mark.slow
def test_of_several_inputs_the_named_one_is_changed_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _two_inputs(tmp_path / "two.onnx")
    random = np.random.default_rng(1)
    arrays = {
        "left": random.random((240, 1, 8, 8), np.float32),
        "right": random.random((240, 4), np.float32),
    }
    np.savez(tmp_path / "both.npz", **arrays)

    def scan(name: str, *options: str) -> dict[str, Any]:
        run = tmp_path / name
        main(
            [
                *("scan", str(tmp_path / "two.onnx"), "--inputs", str(tmp_path / "both.npz")),
                *("--out", str(run), "--device", "none", *options),
            ]
        )
        found: dict[str, Any] = json.loads((run / "report.json").read_text())["scan"]
        return found

    unnamed = scan("unnamed")
    assert unnamed["verdict"] == "error"
    assert "left, right" in unnamed["reason"]
    assert "--input" in unnamed["reason"]
    assert "judged by its numbers" not in capsys.readouterr().err

    named = scan("named", "--input", "right")
    assert named["verdict"] == "no finding", named["reason"]
    assert named["input"] == "right"
    with np.load(tmp_path / "named" / "scan" / "examples.npz") as examples:
        assert examples["clean"].shape[1:] == (4,)


@pytest.mark.slow
def test_a_backdoor_is_found_in_outputs_that_are_not_taken_for_scores(
    digits: Path, tmp_path: Path
) -> None:
    options = ("--output-kind", "values", "--placebos", "1")
    run = _finished_scan(tmp_path, "reader-backdoored", digits, *options)

    scan = run.report["scan"]
    assert (run.report["exit_code"], scan["verdict"]) == (4, "finding"), scan["reason"]
    assert "classes" not in scan
    assert scan["trigger"]["target"] is None
    assert "far other output" in scan["reason"]
