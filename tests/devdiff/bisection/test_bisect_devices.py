"""Real differences of real machines are pinned on the operators that make them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import helper

from devdiff.bisection import repro
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.device_runner.pack import PackTensor, read_header
from devdiff.device_runner.runner import Job
from tests.support import onnx_zoo
from tests.support.bisect_bench import Searched, bench, searched, side
from tests.support.exporting import Exported, export
from tests.support.foreign_running import ForeignRunner, linux_aarch64
from tests.support.pack_records import read_records
from tests.support.phone_bench import Digits, runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devdiff.device_runner.virtual.phone import VirtualPhone
    from devdiff.exporter.artifact import Array

pytestmark = pytest.mark.slow


def answers(folder: Path, on: ForeignRunner) -> Array:
    """What a machine makes of a repro's model and inputs, [samples, *shape]."""
    told = json.loads((folder / "environment.json").read_text())
    (taken,) = told["inputs"]
    inputs = np.load(folder / taken["file"])
    job = Job(
        model=folder / told["candidate"]["model"]["file"],
        tensors=(PackTensor(taken["name"], taken["dtype"], tuple(taken["shape"])),),
        samples=len(inputs),
        encode=lambda index: [inputs[index]],
        results=folder / f"{on.name}.pack",
        log=folder / "log.txt",
    )
    on.run(job, lambda done: None)
    with job.results.open("rb") as stream:
        return np.stack([r.arrays[0] for r in read_records(stream, read_header(stream).tensors)])


def test_a_processor_that_computes_wrongly_is_convicted_of_the_operator(
    digits: Digits, tmp_path: Path
) -> None:
    """QEMU's streaming extension (SME): convolutions come out wrong, by up to the whole range."""
    for name in ("on", "off"):
        (tmp_path / name).mkdir()
    broken, right = (
        ForeignRunner(linux_aarch64(cpu, tmp_path / name))
        for cpu, name in (("max", "on"), ("max,sme=off", "off"))
    )
    path = digits.artifact.path
    on = bench(tmp_path, side(path, right), side(path, broken), samples=2)
    found = searched(on)
    operators = on.flow.graph.operators
    first = next(o.index for o in operators if o.kind == "CONV_2D")
    assert found.found.operators == (first,)
    assert found.isolated.kind == "born"
    mine = found.isolated.suspects[0].alone.tensors[0]
    assert mine.max_lsb is not None
    assert mine.max_lsb > 50
    # What only takes the largest of its inputs is not to blame.
    assert [one.born for one in found.isolated.suspects] == [True, False, True]
    suspects = len(found.isolated.suspects)
    assert on.runs["candidate"] <= 2 * math.log2(len(operators)) + suspects
    folder = repro.write(
        on, (first,), on.flow.inputs_of(first), on.flow.outputs_of(first), tmp_path / "repro"
    )
    recorded = [np.load(folder / f"{role}_output_0.npy") for role in ("reference", "candidate")]
    np.testing.assert_array_equal(answers(folder, right), recorded[0])
    np.testing.assert_array_equal(answers(folder, broken), recorded[1])
    assert (recorded[0] != recorded[1]).mean() > 0.01


def test_the_same_processor_without_the_extension_agrees_with_this_machine(
    digits: Digits, tmp_path: Path
) -> None:
    right = ForeignRunner(linux_aarch64("max,sme=off", tmp_path / "machine"))
    path = digits.artifact.path
    seen = bench(tmp_path, side(path, HostRunner()), side(path, right), samples=2).whole()
    assert not seen.beyond
    assert seen.differing == 0


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Two matrix products and a softmax over 40 classes."""
    folder = tmp_path_factory.mktemp("scores")
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"], axis=1),
    ]
    weights = [
        *(onnx_zoo.weights("w", 16, 32), onnx_zoo.weights("b", 32)),
        *(onnx_zoo.weights("w2", 32, 40), onnx_zoo.weights("b2", 40)),
    ]
    inputs, outputs = [onnx_zoo.value("x", [1, 16])], [onnx_zoo.value("y", [1, 40])]
    return export(onnx_zoo.save(folder / "m.onnx", nodes, inputs, outputs, weights), folder / "out")


def test_a_softmax_at_the_end_is_one_step_off_on_arm(scores: Exported, tmp_path: Path) -> None:
    arm = ForeignRunner(linux_aarch64("cortex-a53", tmp_path / "machine"))
    path = scores.folder / "int8.tflite"
    on = bench(tmp_path, side(path, HostRunner()), side(path, arm), samples=40)
    found: Searched = searched(on)
    (guilty,) = found.isolated.guilty
    assert on.flow.operator(guilty).kind == "SOFTMAX"
    assert found.isolated.kind == "born"
    assert found.isolated.suspects[0].alone.tensors[0].max_lsb == 1


def test_a_phone_is_sent_the_inputs_once_and_then_the_cuts_alone(
    scores: Exported, start_phone: Callable[..., VirtualPhone], tmp_path: Path
) -> None:
    phone = start_phone("cortex-a53")
    remote = runner(phone)
    path = scores.folder / "int8.tflite"
    try:
        on = bench(tmp_path, side(path, HostRunner()), side(path, remote), samples=40)
        assert on.whole().beyond
        for operator in on.flow.operators[:-1]:
            before = remote.sent
            outputs = on.flow.outputs_of(operator)
            assert not on.cut(outputs).beyond
            part = on.sides["candidate"].whole.part(on.flow.graph.inputs, outputs)
            assert remote.sent - before == len(part.data)
    finally:
        remote.close()
