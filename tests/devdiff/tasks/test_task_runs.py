"""The task's metric on real rungs: what a step costs is found where it is born."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from devdiff.report import load
from tests.support import onnx_zoo
from tests.support.command import devdiff

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CELLS, CELL = 4, 16
SIDE = CELLS * CELL


def detector(path: Path, score: float) -> Path:
    """A YOLO head [1, 5, 16] over a grid: a cell's box, and its brightness times ``score``."""
    rows, columns = np.mgrid[:CELLS, :CELLS]
    centres = np.stack([columns, rows], 0).reshape(2, -1) * CELL + CELL / 2
    boxes = np.concatenate([centres, np.full((2, CELLS**2), CELL)])[None].astype(np.float32)
    return onnx_zoo.save(
        path,
        [
            helper.make_node(
                "AveragePool", ["image"], ["mean"], kernel_shape=[CELL] * 2, strides=[CELL] * 2
            ),
            helper.make_node("Reshape", ["mean", "flat"], ["bright"]),
            helper.make_node("Mul", ["bright", "score"], ["scores"]),
            helper.make_node("Mul", ["bright", "none"], ["nothing"]),
            helper.make_node("Add", ["nothing", "boxes"], ["placed"]),
            helper.make_node("Concat", ["placed", "scores"], ["head"], axis=1),
        ],
        [onnx_zoo.value("image", [1, 1, SIDE, SIDE])],
        [onnx_zoo.value("head", [1, 5, CELLS**2])],
        [
            onnx_zoo.constant("flat", np.array([1, 1, CELLS**2], np.int64)),
            onnx_zoo.constant("score", np.array(score, np.float32)),
            onnx_zoo.constant("none", np.zeros((1, 4, 1), np.float32)),
            onnx_zoo.constant("boxes", boxes),
        ],
    )


def scenes(folder: Path, count: int) -> None:
    """Images with one or two bright cells each, and their boxes as COCO's JSON."""
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    annotations = []
    for number in range(count):
        pixels = np.zeros((SIDE, SIDE), np.uint8)
        for cell in rng.choice(CELLS**2, rng.integers(1, 3), replace=False).tolist():
            y, x = CELL * (cell // CELLS), CELL * (cell % CELLS)
            pixels[y : y + CELL, x : x + CELL] = rng.integers(180, 256)
            annotations.append({"image_id": number, "category_id": 1, "bbox": [x, y, CELL, CELL]})
        Image.fromarray(pixels).save(folder / f"photos/{number:03}.png")
    images = [{"id": number, "file_name": f"{number:03}.png"} for number in range(count)]
    classes = [{"id": 1, "name": "bright spot"}]
    truth = {"images": images, "categories": classes, "annotations": annotations}
    (folder / "coco.json").write_text(json.dumps(truth))


def finished(folder: Path, model: Path, *options: str | Path) -> tuple[int, Mapping[str, Any], str]:
    """Exit code, report and output of ``devdiff export-and-test`` over the photos."""
    where = ("--inputs", "photos", "--device", "none", "--out", "run")
    done = devdiff("export-and-test", model, *where, *options, cwd=folder)
    report = load.load(folder / "run/report.json").to_json()  # holds it to the schema
    return done.returncode, report, done.stdout


@pytest.mark.slow
def test_scores_that_share_a_scale_with_boxes_are_lost_at_compression(tmp_path: Path) -> None:
    """One int8 tensor for pixels up to 64 has steps of a quarter: scores below it are zero."""
    scenes(tmp_path, 80)
    model = detector(tmp_path / "model.onnx", 0.01)
    options = ("--task", "detection:format=yolo", "--truth", "coco.json")
    code, report, printed = finished(tmp_path, model, *options)
    assert code == 1
    assert report["attribution"]["step"] == "compression"
    rungs = {rung["rung"]: rung["values"] for rung in report["task"]["rungs"]}
    assert rungs["source"]["mAP"]["value"] == pytest.approx(1)
    assert rungs["float"]["mAP"]["value"] == pytest.approx(1)
    assert rungs["int8"]["mAP"]["value"] == 0
    compression = next(pair for pair in report["pairs"] if pair["step"] == "compression")
    reasons = " ".join(compression["judgement"]["reasons"])
    assert "mAP 1 became 0, a drop of 1" in reasons
    assert "task: detection, judged against coco.json; one step may make mAP" in printed
    page = (tmp_path / "run/report.html").read_text()
    assert '<section id="task"' in page
    assert report["classes"] == {"names": ["bright spot"], "origin": "coco.json"}
    compressed = next(s for s in report["task"]["steps"] if s["step"] == "compression")
    assert compressed["changed"] == 60
    steps = {step["step"]: step["verdict"] for step in report["task"]["steps"]}
    assert steps == {"conversion": "pass", "compression": "fail", "all": None}


@pytest.mark.slow
def test_without_truth_rungs_are_judged_against_the_sources_own_boxes(tmp_path: Path) -> None:
    scenes(tmp_path, 40)
    model = detector(tmp_path / "model.onnx", 1.0)
    options = ("--task", "detection:format=yolo,min_score=0.3")
    code, report, printed = finished(tmp_path, model, *options)
    assert code == 0
    assert report["task"]["from_source"]
    assert report["task"]["max_drop"] == 0.2
    steps = {step["step"]: step["verdict"] for step in report["task"]["steps"]}
    assert steps == {"conversion": "pass", "compression": "pass", "all": None}
    assert report["task"]["rungs"][-1]["values"]["mAP"]["value"] > 0.9
    assert "task: detection, judged against the source's own answers" in printed
    page = (tmp_path / "run/report.html").read_text()
    assert "judged against the source&#39;s own answers" in page
    assert 'class="box c0"' in page
    assert "<strong>source" in page


@pytest.mark.slow
def test_scores_that_die_in_int8_fail_without_any_truth(tmp_path: Path) -> None:
    """The constant boxes carry the SNR; the source's own boxes are all lost."""
    scenes(tmp_path, 40)
    model = detector(tmp_path / "model.onnx", 0.01)
    options = ("--task", "detection:format=yolo,truth_score=0.002")
    code, report, printed = finished(tmp_path, model, *options)
    assert code == 1
    assert report["attribution"]["step"] == "compression"
    assert report["task"]["rungs"][0]["values"]["mAP"]["value"] == 1
    assert report["task"]["rungs"][-1]["values"]["mAP"]["value"] == 0
    lost = next(s for s in report["task"]["steps"] if s["step"] == "compression")["most_changed"]
    assert {(entry["before"], entry["after"]) for entry in lost} == {(1, 0)}
    page = (tmp_path / "run/report.html").read_text()
    assert page.count('class="box gone"') >= len(lost)
    assert "▼ harmed" in page
    assert "judged against the source's own answers" in printed


@pytest.mark.slow
def test_a_source_that_detects_nothing_is_inconclusive(tmp_path: Path) -> None:
    scenes(tmp_path, 40)
    model = detector(tmp_path / "model.onnx", 0.2)
    code, report, printed = finished(tmp_path, model, "--task", "detection:format=yolo")
    assert code == 5
    assert "leave nothing to judge by: there is no object on any image" in printed
    assert {step["verdict"] for step in report["task"]["steps"]} == {"inconclusive", None}


def rows_of_detections(path: Path) -> Path:
    """An end-to-end detector [1, 16, 6] over the same grid, with boxes in shares of the input."""
    rows, columns = np.mgrid[:CELLS, :CELLS]
    corners = np.stack([columns, rows, columns + 1, rows + 1], -1).reshape(1, -1, 4) / CELLS
    return onnx_zoo.save(
        path,
        [
            helper.make_node(
                "AveragePool", ["image"], ["mean"], kernel_shape=[CELL] * 2, strides=[CELL] * 2
            ),
            helper.make_node("Reshape", ["mean", "rows"], ["score"]),
            helper.make_node("Mul", ["score", "none"], ["nothing"]),
            helper.make_node("Add", ["nothing", "corners"], ["boxes"]),
            helper.make_node("Mul", ["score", "zero"], ["class"]),
            helper.make_node("Concat", ["score", "class", "boxes"], ["found"], axis=2),
        ],
        [onnx_zoo.value("image", [1, 1, SIDE, SIDE])],
        [onnx_zoo.value("found", [1, CELLS**2, 6])],
        [
            onnx_zoo.constant("rows", np.array([1, CELLS**2, 1], np.int64)),
            onnx_zoo.constant("none", np.zeros((1, 1, 4), np.float32)),
            onnx_zoo.constant("zero", np.zeros((1, 1, 1), np.float32)),
            onnx_zoo.constant("corners", corners.astype(np.float32)),
        ],
    )


def best_of(path: Path, shape: tuple[int, ...], axis: int) -> Path:
    """The place of the largest value along an axis, behind a layer of weights."""
    left = (size for place, size in enumerate(shape) if place != axis)
    return onnx_zoo.save(
        path,
        [
            helper.make_node("Mul", ["x", "gain"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["best"], axis=axis, keepdims=0),
        ],
        [onnx_zoo.value("x", [*shape])],
        [onnx_zoo.value("best", [*left], TensorProto.INT64)],
        [onnx_zoo.constant("gain", np.full([1] * len(shape), 0.5, np.float32))],
    )


@pytest.mark.slow
def test_a_healthy_end_to_end_detector_passes_without_truth(tmp_path: Path) -> None:
    scenes(tmp_path, 40)
    model = rows_of_detections(tmp_path / "model.onnx")
    task = "detection:columns=score:class:x1:y1:x2:y2,coords=normalized"
    code, report, printed = finished(tmp_path, model, "--task", task)
    assert code == 0, printed
    assert report["task"]["rungs"][0]["values"]["mAP"]["value"] == 1
    assert report["task"]["support"] == 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "axis", "task", "metric"),
    [
        ((1, 3, 24, 32), 1, "segmentation", "mean IoU"),
        ((1, 12, 20), 2, "sequence", "token error rate"),
    ],
)
def test_answers_that_are_numbers_already_are_judged(
    tmp_path: Path, shape: tuple[int, ...], axis: int, task: str, metric: str
) -> None:
    model = best_of(tmp_path / "model.onnx", shape, axis)
    values = np.random.default_rng(0).random((60, *shape[1:]), np.float32)
    np.savez(tmp_path / "samples.npz", x=values)
    where = ("--inputs", "samples.npz", "--device", "none", "--out", "run")
    done = devdiff("export-and-test", model, *where, "--task", task, cwd=tmp_path)
    report = load.load(tmp_path / "run/report.json").to_json()
    assert done.returncode == 0, done.stdout
    assert report["task"]["metrics"][0]["name"] == metric
    steps = {step["step"]: step["verdict"] for step in report["task"]["steps"]}
    assert steps == {"conversion": "pass", "compression": "pass", "all": None}
    assert "judged against the source's own answers" in done.stdout


@pytest.mark.slow
def test_a_wrong_task_is_refused_before_anything_is_exported(tmp_path: Path) -> None:
    scenes(tmp_path, 4)
    model = detector(tmp_path / "model.onnx", 1.0)
    for options, message in (
        (("--task", "poetry"), "there is no such task"),
        (("--truth", "coco.json"), "--truth needs --task"),
        (("--task", "detection:format=yolo", "--truth", "gone.json"), "gone.json does not exist"),
        (
            ("--max-drop", "0.01"),
            "there are no labels to judge by: give --labels, or say with --task",
        ),
    ):
        done = devdiff(
            "export-and-test",
            model,
            "--inputs",
            "photos",
            "--device",
            "none",
            *options,
            cwd=tmp_path,
        )
        assert done.returncode == 2
        assert message in done.stderr.splitlines()[-1]
