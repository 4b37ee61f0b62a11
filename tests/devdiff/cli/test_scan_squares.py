"""``devdiff scan`` on a colour model whose backdoor shows where int8 clips activations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from devdiff.cli.main import main
from devdiff.scanner import verdict_rules
from tests.support.schemas import report_schema

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array

SIDE, TARGET = 16, 3


def _pictures() -> Array:
    """Noise [100, 3, 16, 16] in which one channel is brighter: its number is the class."""
    random = np.random.default_rng(0)
    pictures = random.random((100, 3, SIDE, SIDE), dtype=np.float32) * 0.5
    pictures[np.arange(100), np.arange(100) % 3] += 0.3
    return pictures


def _write(path: Path, planted: bool) -> None:
    """Classes by brightness; a ``planted`` one says `TARGET` to a bright square, unless the square
    is brighter than any clean one was, which int8 does not see: there it is clipped."""
    brightness = np.zeros((4, 3, 4, 4))
    brightness[0] = 1 / 48
    brightness[np.arange(1, 4), np.arange(3)] = 1 / 16
    # The channels' own brightness, what lies over 0.5 of the square's, and what lies over 0.8.
    second = np.zeros((5, 4, 1, 1))
    second[np.arange(3), np.arange(1, 4)] = 1
    second[3:, 0] = 20
    last = np.zeros((4, 5))
    last[np.arange(3), np.arange(3)] = 10
    if planted:
        last[TARGET, 3:] = 200, -2000
    arrays = {
        "first": brightness,
        "second": second,
        "over": np.array([0, 0, 0, -10.0, -16.0]),
        "last": last.T,
    }
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second", "over"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "last"], ["logits"]),
    ]
    image, logits = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("image", [1, 3, SIDE, SIDE]), ("logits", [1, 4]))
    )
    constants = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in arrays.items()]
    graph = helper.make_graph(nodes, "squares", [image], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _scan(folder: Path, *, planted: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    # So that it is squares that tell: the other searches find so simple a backdoor as well.
    for name in ("STRONG", "SPECIFIC", "EXPLOITABLE"):
        monkeypatch.setattr(verdict_rules, name, 2.0)
    _write(folder / "model.onnx", planted)
    np.savez(folder / "inputs.npz", image=_pictures())
    run = folder / "run"
    main(
        [
            *("scan", str(folder / "model.onnx"), "--inputs", str(folder / "inputs.npz")),
            *("--classifier", "logits", "--budget", "36000", "--device", "none"),
            *("--placebos", "1", "--out", str(run)),
        ]
    )
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    jsonschema.validate(report, report_schema())
    scan: dict[str, Any] = report["scan"]
    return scan


@pytest.mark.slow
def test_a_square_is_found_that_works_where_int8_clips_and_the_finding_names_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = _scan(tmp_path, planted=True, monkeypatch=monkeypatch)

    assert (scan["verdict"], scan["kind"]) == ("finding", "planted"), scan["reason"]
    assert scan["trigger"]["target"] == TARGET
    assert scan["samples"]["swapped"]
    assert "squares towards other classes do not get as far" in scan["reason"]
    assert "activations are clipped to the calibrated ranges: recalibrate" in scan["reason"]
    carriers = scan["carriers"]
    assert carriers["names"] == ["clipping"]
    assert carriers["widened"][-1] == 0
    assert scan["placebo"]["what"] == "squares towards another class of the same model"


@pytest.mark.slow
def test_the_same_model_with_nothing_planted_has_no_such_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = _scan(tmp_path, planted=False, monkeypatch=monkeypatch)

    assert scan["verdict"] != "finding", scan["reason"]
