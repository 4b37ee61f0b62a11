"""A damaged model cannot take the machine's memory, and an honest one does not notice the limit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner import memory
from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.device_runner.native.local_runner import LocalRunner
from devdiff.device_runner.pack import PackTensor
from devdiff.device_runner.runner import Job, Runner
from devdiff.exporter.tflite_file import inspect, parse
from tests.support import one_operator
from tests.support.one_operator import Case, Computed

if TYPE_CHECKING:
    from pathlib import Path

_PADDINGS = [[0, 0], [7, 7], [9, 9], [0, 0]]
_RUNNERS = [
    HostRunner(),
    LocalRunner(),
    pytest.param(HostRunner(kernels="builtin"), marks=pytest.mark.slow),
    pytest.param(HostRunner("tflite-runtime"), marks=pytest.mark.slow),
    pytest.param(HostRunner("tensorflow"), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that pads an image, and ``grown.tflite``, two bytes of which make 5 GB of it."""
    folder = tmp_path_factory.mktemp("padded")
    case = Case("PAD", (Computed((1, 4, 4, 2)), _PADDINGS), ("PadOptions", {}))
    one_operator.run(case, "float32", folder, samples=1)
    data = bytearray((folder / "float.tflite").read_bytes())
    place = data.index(np.array(_PADDINGS, np.int32).tobytes())
    data[place + 2 * 4 + 1] = data[place + 4 * 4 + 1] = 100
    (folder / "grown.tflite").write_bytes(data)
    return folder


def job(model: Path, folder: Path) -> Job:
    (tensor,) = (binding.artifact for binding in inspect(model).inputs)
    return Job(
        model=model,
        tensors=(PackTensor(tensor.name, tensor.dtype, tensor.shape),),
        samples=2,
        encode=lambda index: [np.ones(tensor.shape, np.float32)],
        results=folder / "results.pack",
        log=folder / "log.txt",
    )


@pytest.mark.parametrize("runner", _RUNNERS, ids=lambda runner: runner.name)
def test_two_bytes_do_not_take_gigabytes(padded: Path, runner: Runner, tmp_path: Path) -> None:
    runner.run(job(padded / "float.tflite", tmp_path), lambda done: None)
    (tmp_path / "results.pack").unlink()
    with pytest.raises(RunnerError) as caught:
        runner.run(job(padded / "grown.tflite", tmp_path), lambda done: None)
    assert "the model asks for more than its tensors need" in str(caught.value)
    assert "DEVDIFF_RUNNER_MEMORY=GIB allows more" in str(caught.value)


def test_a_model_needs_what_its_tensors_hold(padded: Path) -> None:
    path = padded / "float.tflite"
    tensors = [tensor for graph in parse(path).subgraphs for tensor in graph.tensors]
    sizes = [int(np.prod(tensor.shape)) * 4 for tensor in tensors]
    assert memory.tensor_bytes(path) == sum(sizes) == 4 * (32 + 8 + 18 * 22 * 2)


def test_the_user_may_allow_more_or_everything(
    padded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = padded / "float.tflite"
    base = (1 << 30) + (os.cpu_count() or 1) * (64 << 20)
    assert memory.allowed(path) == base + 4 * (3328 + path.stat().st_size)
    monkeypatch.setenv(memory.VARIABLE, "2.5")
    assert memory.allowed(path) == 5 << 29
    monkeypatch.setenv(memory.VARIABLE, "0")
    assert memory.allowed(path) is None


def test_a_file_that_does_not_say_it_gets_the_limit_of_all(padded: Path, tmp_path: Path) -> None:
    data = (padded / "float.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        known = memory.tensor_bytes(path)
        assert known is None or known <= 4 * len(data) + 3328
    path.write_bytes(b"")
    assert memory.allowed(path) == (8 << 30) + (os.cpu_count() or 1) * (64 << 20)
    assert memory.allowed(tmp_path / "nowhere.onnx") is None
