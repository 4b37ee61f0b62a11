"""``devdiff scan`` on a colour model whose backdoor shows where int8 clips activations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from devdiff.cli.main import main
from devdiff.comparison.intervals import Proportion
from devdiff.scanner.evidence import EvidenceCollector
from tests.support.schemas import report_schema

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.scanner.replay_result import JudgedTrigger
    from devdiff.scanner.search_plan import Found

SIDE, TARGET = 16, 2


def _pictures() -> Array:
    """Noise [100, 3, 16, 16] in which one of two channels is brighter: its number is the class."""
    random = np.random.default_rng(0)
    pictures = random.random((100, 3, SIDE, SIDE), dtype=np.float32) * 0.5
    pictures[np.arange(100), np.arange(100) % 2] += 0.3
    return pictures


def _write(path: Path) -> None:
    """Classes by brightness, and `TARGET` for what one measure of it shows and another does not.

    Both are the same number, so that they cancel. In int8 one lies in a range that is wide enough,
    and the other is clipped to what clean pictures reach.
    """
    wide, narrow = np.zeros((3, 3, 4, 4)), np.full((1, 3, 4, 4), 1 / 48)
    wide[0] = narrow[0]
    wide[(1, 2), (0, 1)] = 2 / 16
    last = np.zeros((3, 4))
    # Each class by how dark the other's channel is: a bright square favours neither.
    last[(0, 1), (2, 1)] = -5
    last[TARGET, 0], last[TARGET, 3] = 400, -400
    arrays = {"wide": wide, "narrow": narrow, "last": last.T, "bias": np.array([0, 0, -9.0])}
    nodes = [
        helper.make_node("Conv", ["image", "wide"], ["a"], strides=[4, 4]),
        helper.make_node("Conv", ["image", "narrow"], ["b"], strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["c"]),
        helper.make_node("Relu", ["b"], ["d"]),
        helper.make_node("GlobalAveragePool", ["c"], ["e"]),
        helper.make_node("GlobalAveragePool", ["d"], ["f"]),
        helper.make_node("Concat", ["e", "f"], ["g"], axis=1),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("MatMul", ["h", "last"], ["i"]),
        helper.make_node("Add", ["i", "bias"], ["logits"]),
    ]
    image, logits = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("image", [1, 3, SIDE, SIDE]), ("logits", [1, 3]))
    )
    constants = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in arrays.items()]
    graph = helper.make_graph(nodes, "squares", [image], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _scan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    universal = EvidenceCollector.universal

    def missed(collector: EvidenceCollector, results: Found) -> JudgedTrigger:
        found = universal(collector, results)
        none = Proportion.of(0, found.evidence.gap.trials)
        return replace(found, evidence=replace(found.evidence, gap=none, calibrated=none))

    # So that it is squares that tell: the other searches may find so simple a backdoor as well.
    monkeypatch.setattr(EvidenceCollector, "universal", missed)
    _write(folder / "model.onnx")
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
    scan = _scan(tmp_path, monkeypatch)

    assert (scan["verdict"], scan["kind"]) == ("finding", "planted"), scan["reason"]
    assert scan["trigger"]["target"] == TARGET
    assert scan["samples"]["swapped"]
    assert "squares towards other classes do not get as far" in scan["reason"]
    assert "activations are clipped to the calibrated ranges: recalibrate" in scan["reason"]
    carriers = scan["carriers"]
    assert carriers["names"] == ["clipping"]
    assert carriers["widened"][-1] == 0
    assert scan["placebo"]["what"] == "squares towards another class of the same model"
