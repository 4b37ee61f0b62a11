"""Every kind of source goes the whole way, and its source rung runs where it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.exporter.artifact import sha256_file
from devdiff.exporter.compression import Compression
from devdiff.exporter.errors import SourceModelError
from devdiff.inputs.input_set import InputRequest
from devdiff.ladder.export_run import ExportRequest, export_model
from devdiff.ladder.pipeline import export_and_test
from devdiff.ladder.request import LadderRequest
from devdiff.options import HOST_ONLY, ModelSpec
from tests.support.kept_results import PRODUCT, kept

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.slow

SAMPLES = 40


def samples(folder: Path, **shapes: tuple[int, ...]) -> InputRequest:
    """Random inputs of these shapes; integers below 11 where a name is ``ids``."""
    generator = np.random.default_rng(3)
    arrays: dict[str, Any] = {}
    for name, shape in shapes.items():
        size = (SAMPLES, *shape)
        ids = generator.integers(0, 11, size)
        arrays[name] = ids if name == "ids" else generator.normal(size=size).astype(np.float32)
    path = folder / "samples.npz"
    np.savez(path, **arrays)
    return InputRequest(inputs=path)


Run = Callable[[LadderRequest], dict[str, Any]]


@pytest.fixture
def run_of(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """The report of a test's one run, now or earlier of the same product and the same test."""

    def run(asked: LadderRequest) -> dict[str, Any]:
        def make() -> dict[str, Any]:
            outcome = export_and_test(replace(asked, running=HOST_ONLY), tmp_path / "run")
            report: dict[str, Any] = json.loads((outcome.directory / "report.json").read_text())
            return report

        name = re.sub(r"\W+", "-", request.node.name)
        rests_on = (*PRODUCT, "tests/support", "tests/devdiff/ladder/test_source_kinds.py")
        report: dict[str, Any] = kept(f"source-{name}", rests_on, [], make)
        return report

    return run


def check(report: Mapping[str, Any], runtime: str, int8_db: float = 10) -> None:
    """The rungs ran, the source where it came from, and the conversion changed nothing."""
    assert [rung["name"] for rung in report["rungs"]] == ["source", "float", "int8"]
    assert not any(rung["error"] or rung["failed"] for rung in report["rungs"])
    source = report["rungs"][0]
    assert source["about"]["runtime"] == source["runner"] == runtime
    assert source["about"]["runtime_version"] == source["identity"]["version"]
    conversion = report["pairs"][0]
    assert conversion["step"] == "conversion"
    assert conversion["judgement"]["verdict"] == "pass", conversion["judgement"]
    for output in conversion["comparison"]["outputs"]:
        assert output["max_abs_error"] < 1e-5
    for output in report["pairs"][1]["comparison"]["outputs"]:
        assert output["snr_db"] == "inf" or output["snr_db"] > int8_db


def test_a_program_with_a_batch_norm(torch_models: Path, tmp_path: Path, run_of: Run) -> None:
    data = samples(tmp_path, image=(3, 16, 16))
    report = run_of(LadderRequest(ModelSpec(torch_models / "convolutions.pt2"), data=data))
    check(report, "torch")
    assert report["manifest"]["source_format"] == "exported-program"
    assert {"torch", "onnxscript", "onnx2tf"} <= set(report["manifest"]["versions"])
    (image,) = report["manifest"]["artifacts"][0]["inputs"]
    assert image["source"]["shape"] == [1, 3, 16, 16]


def test_a_pruned_program_has_an_onnx_rung(torch_models: Path, tmp_path: Path, run_of: Run) -> None:
    request = LadderRequest(
        ModelSpec(torch_models / "lookup.pt2"),
        data=samples(tmp_path, ids=(6,), extra=(4,)),
        compression=Compression.parse("prune:0.3+int8"),
    )
    report = run_of(request)
    assert [rung["runner"] for rung in report["rungs"]] == [
        "torch", "onnxruntime", "litert", "litert"
    ]  # fmt: skip
    assert report["pairs"][1]["step"] == "conversion"
    assert report["pairs"][1]["judgement"]["verdict"] == "pass"


def test_torchscript_with_two_inputs_and_two_outputs(
    torch_models: Path, tmp_path: Path, run_of: Run
) -> None:
    request = LadderRequest(
        ModelSpec(torch_models / "script.pt", shapes={"ids": (1, 6), "extra": (1, 4)}),
        data=samples(tmp_path, ids=(6,), extra=(4,)),
    )
    report = run_of(request)
    check(report, "torch")
    outputs = report["pairs"][0]["comparison"]["outputs"]
    assert [output["name"] for output in outputs] == ["output_0", "output_1"]


def test_a_trusted_module_with_a_dictionary_of_outputs(
    torch_models: Path, tmp_path: Path, run_of: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"))
    request = LadderRequest(
        ModelSpec(torch_models / "module.pth", shapes={"ids": (1, 6), "extra": (1, 4)}, trust=True),
        data=samples(tmp_path, ids=(6,), extra=(4,)),
    )
    report = run_of(request)
    check(report, "torch")
    outputs = report["pairs"][0]["comparison"]["outputs"]
    assert {output["name"] for output in outputs} == {"scores", "mean"}


@pytest.mark.parametrize(
    ("name", "runtime"),
    [
        ("recurrent.pt2", "torch"),
        ("recurrent.keras", "keras"),
        ("older-recurrent.keras", "tf-keras"),
    ],
)
def test_recurrent_layers_do_not_carry_state_between_samples(
    torch_models: Path, keras_models: Path, tmp_path: Path, run_of: Run, name: str, runtime: str
) -> None:
    torch = runtime == "torch"
    model = (torch_models if torch else keras_models) / name
    data = samples(tmp_path, sequence=(5 if torch else 6, 4))
    report = run_of(LadderRequest(ModelSpec(model), data=data))
    # Cells in int8 lose much of a signal as small as an untrained net's.
    check(report, runtime, int8_db=5)
    assert any("step by step" in note for note in report["manifest"]["notes"])
    operators = report["manifest"]["artifacts"][0]["operators"]
    assert not {"WHILE", "UNIDIRECTIONAL_SEQUENCE_LSTM"} & set(operators)


def test_keras_with_integers_and_named_outputs(
    keras_models: Path, tmp_path: Path, run_of: Run
) -> None:
    data = samples(tmp_path, ids=(6,), extra=(4,))
    report = run_of(LadderRequest(ModelSpec(keras_models / "lookup.keras"), data=data))
    check(report, "keras")
    outputs = report["pairs"][0]["comparison"]["outputs"]
    assert [output["name"] for output in outputs] == ["left", "right"]
    assert not {"onnx2tf", "torch"} & set(report["manifest"]["versions"])


def test_a_lambda_layer_that_is_trusted(keras_models: Path, tmp_path: Path, run_of: Run) -> None:
    request = LadderRequest(
        ModelSpec(keras_models / "lambda.keras", trust=True), data=samples(tmp_path, x=(4,))
    )
    check(run_of(request), "keras")


def test_a_signature_with_a_loop_and_a_branch(
    keras_models: Path, tmp_path: Path, run_of: Run
) -> None:
    request = LadderRequest(
        ModelSpec(keras_models / "two", signature="decode"), data=samples(tmp_path, x=(2,))
    )
    report = run_of(request)
    check(report, "tensorflow")
    assert {"WHILE", "IF"} <= set(report["manifest"]["artifacts"][0]["operators"])
    assert "variables/variables.index" in report["model"]["files"]


def test_a_finished_model_beside_its_keras_source(
    keras_models: Path, tmp_path: Path, run_of: Run
) -> None:
    """The same source exports to the same bytes, and a finished file finds its tensors."""
    model = keras_models / "older.h5"
    data = samples(tmp_path, image=(16, 16, 3))
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        outcome = export_model(ExportRequest(ModelSpec(model), data=data), folder)
        assert outcome.verdict.value == "pass"
    for name in ("float.tflite", "int8.tflite", "manifest.json"):
        assert sha256_file(folders[0] / name) == sha256_file(folders[1] / name)
    for folder in folders:
        (folder / "manifest.json").unlink()
    request = LadderRequest(
        ModelSpec(folders[0] / "int8.tflite", source=model, floating=folders[0] / "float.tflite"),
        data=data,
    )
    check(run_of(request), "tf-keras")


def test_a_refused_source_leaves_no_run_behind(
    keras_models: Path, tmp_path: Path, run_of: Run
) -> None:
    with pytest.raises(SourceModelError, match="--trust"):
        run_of(LadderRequest(ModelSpec(keras_models / "lambda.h5")))
    assert not (tmp_path / "run").exists()
