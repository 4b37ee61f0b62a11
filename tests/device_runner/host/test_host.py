"""Host runtimes run the same file and say truly what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner.errors import RunnerChoiceError, RunnerError
from devdiff.device_runner.host.host_runner import SOURCE_RUNNER, HostRunner
from devdiff.device_runner.pack import PackSample, PackTensor, read_header
from devdiff.device_runner.runner import Job, Outcome, Runner
from tests.support import onnx_zoo
from tests.support.pack_records import read_records

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from tests.support.exporting import Exported

SAMPLES = 8


def run(
    runner: Runner, model: Path, tensors: list[PackTensor], data: list[list[Array]], out: Path
) -> tuple[Outcome, dict[str, int], list[PackSample]]:
    results = out / "results.pack"
    job = Job(model, tuple(tensors), len(data), data.__getitem__, results, out / "log")
    outcome = runner.run(job, lambda done: None)
    with results.open("rb") as stream:
        header = read_header(stream)
        found = list(read_records(stream, header.tensors))
    return outcome, {tensor.name: i for i, tensor in enumerate(header.tensors)}, found


def artifact_job(
    exported: Exported, precision: str
) -> tuple[Path, list[PackTensor], list[list[Array]]]:
    artifact = exported.manifest.artifact(
        exported.folder, "int8" if precision == "int8" else "float32"
    )
    samples = {name: np.load(path) for name, path in exported.calibration.items()}
    tensors = [PackTensor.of(b.artifact, b.signature_name) for b in artifact.inputs]
    data = [
        [b.encode(samples[b.source.name][index]) for b in artifact.inputs]
        for index in range(SAMPLES)
    ]
    return artifact.path, tensors, data


@pytest.mark.parametrize(
    ("runtime", "delegate"),
    [
        ("litert", "xnnpack"),
        ("litert:builtin", "none"),
        ("litert:reference", "none"),
        ("tflite-runtime:builtin", "none"),
        pytest.param("tensorflow", "xnnpack", marks=pytest.mark.slow),
    ],
)
def test_every_runtime_answers_within_a_step_and_says_what_ran(
    two_by_two: Exported, tmp_path: Path, runtime: str, delegate: str
) -> None:
    model, tensors, data = artifact_job(two_by_two, "int8")
    outcome, places, found = run(HostRunner.parse(runtime), model, tensors, data, tmp_path)
    assert outcome.about["delegate"] == delegate
    assert outcome.about["runtime_version"]
    assert (outcome.about["nodes_delegated"] > 0) == (delegate == "xnnpack")
    (tmp_path / "again").mkdir()
    expected = run(HostRunner(), model, tensors, data, tmp_path / "again")
    for mine, other in zip(found, expected[2], strict=True):
        assert mine.nanoseconds > 0
        for name, place in places.items():
            theirs = other.arrays[expected[1][name]]
            difference = mine.arrays[place].astype(int) - theirs.astype(int)
            assert np.abs(difference).max() <= 1


def test_input_order_does_not_matter(two_by_two: Exported, tmp_path: Path) -> None:
    model, tensors, data = artifact_job(two_by_two, "float32")
    straight = run(HostRunner(), model, tensors, data, tmp_path)
    (tmp_path / "again").mkdir()
    swapped = run(
        HostRunner(), model, tensors[::-1], [row[::-1] for row in data], tmp_path / "again"
    )
    for first, second in zip(straight[2], swapped[2], strict=True):
        for a, b in zip(first.arrays, second.arrays, strict=True):
            np.testing.assert_array_equal(a, b)


def test_source_model_runs_in_onnxruntime(tmp_path: Path) -> None:
    model = onnx_zoo.dense(tmp_path / "m.onnx", ["batch", 4])
    data: list[list[Array]] = [[np.full((1, 4), i, np.float32)] for i in range(3)]
    outcome, places, found = run(
        SOURCE_RUNNER, model, [PackTensor("x", "float32", (1, 4))], data, tmp_path
    )
    assert outcome.about["runtime"] == "onnxruntime"
    for record in found:
        assert record.arrays[places["y"]].shape == (1, 3)
        assert record.arrays[places["y"]].sum() == pytest.approx(1)


def test_a_misfit_names_both_sides(two_by_two: Exported, tmp_path: Path) -> None:
    model, tensors, data = artifact_job(two_by_two, "float32")
    wrong = [PackTensor(tensors[0].name, "float32", (1, 3, 9, 9)), tensors[1]]
    data = [[np.zeros((1, 3, 9, 9), np.float32), row[1]] for row in data]
    with pytest.raises(
        RunnerError, match=r"is float32\[1, 3, 8, 8\] in the model, float32\[1, 3, 9"
    ):
        run(HostRunner(), model, wrong, data, tmp_path)


def test_a_damaged_model_is_refused_or_kills_only_its_process(
    two_by_two: Exported, tmp_path: Path
) -> None:
    model, tensors, data = artifact_job(two_by_two, "int8")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model.read_bytes()[:2000])
    with pytest.raises(RunnerError, match=r"broken\.tflite"):
        run(HostRunner(), broken, tensors, data, tmp_path)


@pytest.mark.parametrize("text", ["pytorch", "litert:gpu", "onnxruntime", ""])
def test_unknown_runtimes_are_listed(text: str) -> None:
    with pytest.raises(RunnerChoiceError, match="give litert, tflite-runtime, tensorflow"):
        HostRunner.parse(text)
