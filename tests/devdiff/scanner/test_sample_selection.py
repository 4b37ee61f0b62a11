"""Which input, output and samples a scan takes, and what it says when it cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.errors import ScanError
from devdiff.exporter.artifact import Array, Artifact, TensorSpec
from devdiff.exporter.recipe import FLOAT32
from devdiff.inputs.input_set import InputRequest, InputSet, prepare
from devdiff.ladder.ladder import Rung, artifact_rung, identity
from devdiff.options import ScanSettings
from devdiff.scanner import replay, sample_selection
from devdiff.scanner.options import ScanSubject
from devdiff.scanner.replay import ScanTarget

IMAGE = TensorSpec("image", (1, 1, 8, 8), "float32")
VECTOR = TensorSpec("vector", (1, 4), "float32")
INDEX = TensorSpec("index", (1, 3), "int64")
SCORES = TensorSpec("scores", (1, 5), "float32")
ONE = TensorSpec("one", (1, 1), "float32")


def _rung(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (SCORES,)) -> Rung:
    bound, made = (tuple(map(identity, specs)) for specs in (inputs, outputs))
    artifact = Artifact(Path("model.tflite"), "0" * 64, bound, made, None, 1)
    return artifact_rung("float", artifact, FLOAT32, HostRunner.parse("litert", 1))


def _scanned(rung: Rung, samples: Any = None) -> ScanSubject:
    return ScanSubject(rung, rung, None, {}, samples, ())


def _silent(text: str) -> None:
    pass


def _samples(folder: Path, count: int = 40) -> InputSet:
    random = np.random.default_rng(0)
    arrays: dict[str, Array] = {
        "image": random.random((count, 1, 8, 8), np.float32),
        "vector": random.random((count, 4), np.float32),
        "index": random.integers(0, 9, (count, 3)),
    }
    np.savez(folder / "x.npz", **arrays)
    request = InputRequest(folder / "x.npz")
    return prepare(request, (IMAGE, VECTOR, INDEX), {}, folder / "inputs", False)


def test_the_only_float_input_is_the_one_that_is_changed() -> None:
    watched = sample_selection.resolve_target(
        _scanned(_rung(INDEX, IMAGE)), ScanSettings(), _silent
    )

    assert watched.input.source == IMAGE
    assert watched.kind == "classes"


@pytest.mark.parametrize(
    ("inputs", "chosen", "said"),
    [
        ((IMAGE, VECTOR), None, r"2 float inputs, image, vector: name the one .* --input"),
        ((INDEX,), None, "this model has none"),
        ((IMAGE, INDEX), "index", "float32 input, and index int64"),
        ((IMAGE,), "nowhere", "no input 'nowhere'"),
    ],
)
def test_an_input_that_cannot_be_told_or_changed_is_named(
    inputs: tuple[TensorSpec, ...], chosen: str | None, said: str
) -> None:
    with pytest.raises(ScanError, match=said):
        sample_selection.resolve_target(
            _scanned(_rung(*inputs)), ScanSettings(input=chosen), _silent
        )


def test_files_that_take_other_inputs_do_not_belong_together() -> None:
    what = ScanSubject(_rung(IMAGE), _rung(IMAGE, VECTOR), None, {}, None, ())  # type: ignore[arg-type]

    with pytest.raises(ScanError, match="do not take the same inputs"):
        sample_selection.resolve_target(what, ScanSettings(), _silent)


def test_an_output_of_one_class_is_refused() -> None:
    what = _scanned(_rung(IMAGE, outputs=(ONE,)))
    watched = sample_selection.resolve_target(what, ScanSettings(output_kind="classes"), _silent)

    with pytest.raises(ScanError, match="has one class"):
        sample_selection.measured(watched, np.ones((20, 1), np.float32))


def test_values_that_never_change_are_refused() -> None:
    what = _scanned(_rung(IMAGE, outputs=(ONE,)))
    watched = sample_selection.resolve_target(what, ScanSettings(), _silent)

    assert watched.kind == "values"
    with pytest.raises(ScanError, match="same for all inputs"):
        sample_selection.measured(watched, np.ones((20, 1), np.float32))


def test_classes_take_turns_where_there_are_more_samples_than_are_wanted(tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    before = np.eye(5, dtype=np.float32)[[0] * 30 + [1] * 4 + [2] * 6]
    watched = ScanTarget(identity(IMAGE), "scores", "classes")

    chosen = sample_selection.choose(samples, watched, before, ScanSettings(samples=15))

    answers = before[list(chosen.rows)].argmax(1)
    assert np.bincount(answers, minlength=3).tolist() == [6, 4, 5]
    assert len(set(chosen.rows)) == 15
    assert set(chosen.searched).isdisjoint(chosen.held)
    for half in (chosen.searched, chosen.held):
        assert set(answers[list(half)]) == {0, 1, 2}


def test_inputs_that_are_not_watched_stay_as_their_samples_have_them(tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    watched = ScanTarget(identity(IMAGE), "scores", "classes")
    rows = [7, 3, 30]
    wanted = np.full((3, 1, 8, 8), 0.5, np.float32)

    inputs = replay.changed(samples, wanted, watched, rows)

    assert len(inputs) == 3
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(inputs.sample(place)["image"][0], wanted[place])
        for name in ("vector", "index"):
            np.testing.assert_array_equal(inputs.sample(place)[name], samples.sample(row)[name])
