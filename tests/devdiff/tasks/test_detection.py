"""Average precision: a case worked out by hand, the library's own figure, and any resample."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.errors import ComparisonError, UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks.boxes import BoxReader, Detections, suppress
from devdiff.tasks.detection import Detection, Matcher, Matches, Objects
from devdiff.tasks.request import TaskRequest

if TYPE_CHECKING:
    from pathlib import Path


def found(*rows: tuple[float, float, float, float, int, float]) -> Detections:
    """Rows of x0, y0, x1, y1, class, score."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    table = table[np.argsort(-table[:, 5], kind="stable")]
    return Detections(table[:, :4], table[:, 5], table[:, 4].astype(np.int64))


def true(*rows: tuple[float, float, float, float, int], crowd: tuple[int, ...] = ()) -> Objects:
    table = np.array(rows, np.float64).reshape(-1, 5)
    crowds = np.isin(np.arange(len(table)), crowd)
    return Objects(table[:, :4], table[:, 4].astype(np.int64), crowds)


def matches(*images: tuple[Detections, Objects]) -> Matches:
    matcher = Matcher()
    for answer, truth in images:
        matcher.add(answer, truth, None)
    return matcher.scores()


def figures(scores: Matches) -> list[float]:
    values: list[float] = scores.values(np.ones((1, scores.samples)))[0].tolist()
    return values


def test_a_case_worked_out_by_hand() -> None:
    """Two objects of one class. Best first: a hit (exact), a miss, a hit (exact).

    Precision is 1 up to a recall of one half, 2/3 beyond: 51 of 101 recalls are within, so AP is
    (51 + 50 * 2/3) / 101 at every threshold.
    """
    images = [
        (found((0, 0, 10, 10, 3, 0.9), (50, 50, 60, 60, 3, 0.8)), true((0, 0, 10, 10, 3))),
        (found((5, 5, 25, 25, 3, 0.7)), true((5, 5, 25, 25, 3))),
    ]
    expected = (51 + 50 * 2 / 3) / 101
    assert figures(matches(*images)) == pytest.approx([expected, expected])


def test_a_loose_box_counts_at_loose_thresholds_only() -> None:
    """An intersection over union of 0.64 passes at 0.5, 0.55 and 0.6: three of ten."""
    loose = matches((found((0, 0, 8, 8, 0, 0.9)), true((0, 0, 10, 10, 0))))
    assert figures(loose) == pytest.approx([0.3, 1.0])


def test_crowds_match_nothing_and_blame_nobody() -> None:
    crowd = true((0, 0, 10, 10, 0), (40, 40, 90, 90, 0), crowd=(1,))
    answer = found((0, 0, 10, 10, 0, 0.5), (50, 50, 80, 80, 0, 0.9))
    assert figures(matches((answer, crowd))) == pytest.approx([1.0, 1.0])


def scene(rng: np.random.Generator, images: int) -> list[tuple[Detections, Objects]]:
    """Objects of four classes, most of them found, somewhat displaced, and some that are not."""
    made = []
    for _ in range(images):
        corner = rng.uniform(0, 80, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corner, corner + rng.uniform(5, 30, corner.shape)], axis=1)
        classes = rng.integers(0, 4, len(boxes))
        kept = rng.random(len(boxes)) < 0.8
        moved = boxes[kept] + rng.normal(0, 1.5, (int(kept.sum()), 4))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        extra = rng.uniform(0, 80, (rng.integers(0, 5), 2))
        guesses = np.concatenate([moved, np.concatenate([extra, extra + 12], axis=1)])
        said = np.concatenate([classes[kept], rng.integers(0, 4, len(extra))])
        scores = np.round(rng.random(len(guesses)), 2)
        order = np.argsort(-scores, kind="stable")
        truth = Objects(boxes, classes, rng.random(len(boxes)) < 0.1)
        made.append((Detections(guesses[order], scores[order], said[order]), truth))
    return made


def library(images: list[tuple[Detections, Objects]]) -> tuple[float, float]:
    """mAP and AP50 as pycocotools accumulates them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sides: list[Any] = []
    with contextlib.redirect_stdout(io.StringIO()):
        for place in (0, 1):
            annotations: list[dict[str, Any]] = []
            for number, image in enumerate(images, 1):
                side: Any = image[1 - place]
                for row, (x, y, right, bottom) in enumerate(side.boxes.tolist()):
                    one = {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": int(side.classes[row]),
                        "bbox": [x, y, right - x, bottom - y],
                        "area": (right - x) * (bottom - y),
                    }
                    one |= (
                        {"score": side.scores[row]} if place else {"iscrowd": int(side.crowd[row])}
                    )
                    annotations.append(one)
            coco: Any = COCO()
            coco.dataset = {
                "images": [{"id": number} for number in range(1, len(images) + 1)],
                "annotations": annotations,
                "categories": [{"id": number} for number in range(4)],
            }
            coco.createIndex()
            sides.append(coco)
        evaluation = COCOeval(sides[0], sides[1], "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(6))
def test_the_library_comes_to_the_same(seed: int) -> None:
    images = scene(np.random.default_rng(seed), 70)
    assert figures(matches(*images)) == pytest.approx(library(images), abs=1e-12)


def test_a_weight_is_as_many_copies_of_the_image() -> None:
    rng = np.random.default_rng(9)
    images = scene(rng, 20)
    weights = rng.integers(0, 3, 20)
    copies = [image for image, weight in zip(images, weights, strict=True) for _ in range(weight)]
    weighted = matches(*images).values(weights[None].astype(float))[0]
    assert weighted == pytest.approx(library(copies), abs=1e-12)


def test_only_images_that_came_out_otherwise_count_as_changed() -> None:
    images = scene(np.random.default_rng(3), 12)
    other = list(images)
    place = next(p for p, (answer, _) in enumerate(images) if len(answer.scores))
    answer, truth = images[place]
    other[place] = (answer.take(np.arange(len(answer.scores) - 1)), truth)
    assert matches(*images).changed(matches(*images)) == 0
    assert matches(*images).changed(matches(*other)) == 1


def test_a_detector_is_right_by_its_own_answers_however_many_there_are() -> None:
    """The evaluation takes 100 of a class and image, so more of them are no objects either."""
    side = np.arange(150.0)
    crowd = found(*((20 * x, 0, 20 * x + 10, 10, 0, 0.9 - x / 1000) for x in side))
    objects = Detection(reader("format=yolo", HEAD)).as_truth(crowd)
    assert len(objects.boxes) == 100
    assert figures(matches((crowd, objects))) == [1, 1]


def test_faint_boxes_are_no_answers_of_the_source() -> None:
    task = Detection(reader("format=yolo", HEAD), truth_score=0.4)
    answer = found((0, 0, 5, 5, 0, 0.5), (0, 0, 5, 5, 1, 0.3))
    assert task.as_truth(answer).classes.tolist() == [0]


def test_images_without_any_object_have_no_precision() -> None:
    with pytest.raises(UsageError, match="no object on any image"):
        matches((found((0, 0, 1, 1, 0, 0.5)), true()))


HEAD = TensorSpec("head", (1, 6, 20), "float32")
BOXES = TensorSpec("b", (1, 3, 4), "float32")
SCORES = TensorSpec("s", (1, 3), "float32")
CLASSES = TensorSpec("c", (1, 3), "float32")


def reader(text: str, *specs: TensorSpec) -> BoxReader:
    return BoxReader.of(TaskRequest.parse(f"detection:{text}"), specs, (100, 200))


def test_a_yolo_head_is_decoded_and_suppressed() -> None:
    head = np.zeros((1, 6, 20), np.float32)
    head[0, :, 4] = [50, 40, 20, 10, 0.1, 0.9]
    head[0, :, 5] = [51, 40, 20, 10, 0.0, 0.8]  # the same object
    head[0, :, 6] = [50, 40, 20, 10, 0.7, 0.0]  # another class
    seen = reader("format=yolo,min_score=0.3", HEAD).read({"head": head})
    assert seen.classes.tolist() == [1, 0]
    assert seen.boxes[0].tolist() == [40, 35, 60, 45]
    turned = reader("format=yolo,min_score=0.3", TensorSpec("head", (1, 20, 6), "float32"))
    again = turned.read({"head": head.transpose(0, 2, 1)})
    np.testing.assert_array_equal(again.boxes, seen.boxes)


@pytest.mark.parametrize(
    ("form", "box"),
    [
        ("xyxy", [20, 10, 60, 30]),
        ("xywh", [20, 10, 40, 20]),
        ("cxcywh", [40, 20, 40, 20]),
        ("yxyx", [10, 20, 30, 60]),
    ],
)
def test_every_format_means_the_same_box(form: str, box: list[float]) -> None:
    outputs: dict[str, Array] = {
        "b": np.array([[box, [0] * 4, [0] * 4]], np.float32),
        "s": np.array([[0.9, 0.2, 0.1]], np.float32),
        "c": np.array([[7, 0, 0]], np.float32),
    }
    options = f"boxes=b,scores=s,classes=c,format={form},min_score=0.5"
    seen = reader(options, BOXES, SCORES, CLASSES).read(outputs)
    assert seen.boxes.tolist() == [[20, 10, 60, 30]]
    assert seen.classes.tolist() == [7]
    outputs["b"] = outputs["b"] / 100
    shares = reader(f"{options},coords=normalized", BOXES, SCORES, CLASSES).read(outputs)
    np.testing.assert_allclose(
        shares.boxes[0] / [200, 100, 200, 100], [0.2, 0.1, 0.6, 0.3], atol=1e-6
    )


END_TO_END = TensorSpec("found", (1, 4, 6), "float32")


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("", [20, 10, 60, 30, 0.9, 7]),
        ("columns=x1:y1:x2:y2:score:class", [20, 10, 60, 30, 0.9, 7]),
        ("columns=class:score:x1:y1:x2:y2", [7, 0.9, 20, 10, 60, 30]),
        ("columns=_:y1:x1:y2:x2:score", [5, 10, 20, 30, 60, 0.9]),
        ("columns=cx:cy:w:h:class:score", [40, 20, 40, 20, 7, 0.9]),
        ("columns=score:class:x1:y1:w:h", [0.9, 7, 20, 10, 40, 20]),
        ("columns=x1:y1:x2:y2:score:class,coords=normalized", [0.1, 0.1, 0.3, 0.3, 0.9, 7]),
    ],
)
def test_detections_that_are_a_row_each_are_read_by_their_columns(
    columns: str, row: list[float]
) -> None:
    """On an input of 100 by 200; the other rows are padding."""
    rows = np.zeros((1, 4, 6), np.float32)
    rows[0, 2] = row
    seen = reader(columns, END_TO_END).read({"found": rows})
    np.testing.assert_allclose(seen.boxes, [[20, 10, 60, 30]], rtol=1e-6)
    assert seen.scores.tolist() == [pytest.approx(0.9)]
    assert seen.classes.tolist() == [7 if "_" not in columns else 0]
    if columns.startswith("columns"):
        turned = reader(columns, TensorSpec("found", (1, 6, 4), "float32"))
        again = turned.read({"found": rows.transpose(0, 2, 1)})
        np.testing.assert_array_equal(again.boxes, seen.boxes)


def test_columns_that_hold_no_scores_are_no_detections() -> None:
    rows = np.tile(np.array([20, 10, 60, 30, 0.9, 7], np.float32), (1, 4, 1))
    with pytest.raises(ComparisonError, match=r"does not hold columns .* scores are 7 to 7"):
        reader("columns=x1:y1:x2:y2:class:score", END_TO_END).read({"found": rows})


def test_suppression_keeps_the_best_of_each_class() -> None:
    boxes = found((0, 0, 10, 10, 0, 0.9), (0, 1, 10, 10, 0, 0.8), (0, 1, 10, 10, 1, 0.7))
    assert suppress(boxes, 0.5, 10).scores.tolist() == [0.9, 0.7]
    assert suppress(boxes, 0.95, 10).scores.tolist() == [0.9, 0.8, 0.7]
    assert suppress(boxes, 0.95, 1).scores.tolist() == [0.9]


def test_nan_is_no_detection() -> None:
    head = np.full((1, 6, 20), np.nan, np.float32)
    with pytest.raises(ComparisonError, match="output head holds NaN"):
        Detection(reader("format=yolo", HEAD)).answer({"head": head})


@pytest.mark.parametrize(
    ("text", "specs", "message"),
    [
        ("boxes=b", (BOXES, SCORES), "say which outputs hold what"),
        ("boxes=x,scores=s", (BOXES, SCORES), "boxes=x: there is no such output; there are b, s"),
        ("format=yolo", (BOXES, SCORES), "head=NAME"),
        ("format=yolo", (SCORES,), "is no YOLO head"),
        ("format=polar", (BOXES,), "none of xyxy"),
        ("columns=x1:y1:x2:y2", (END_TO_END,), "must name"),
        ("columns=x1:y1:x2:y2:score:score", (END_TO_END,), "each once"),
        ("columns=x1:y1:x2:y2:score:w", (END_TO_END,), "'w' goes not with the others"),
        ("columns=x1:y1:x2:y2:score:kind", (END_TO_END,), "'kind' is no column"),
        ("columns=x1:y1:x2:y2:score", (END_TO_END,), "no axis of so many"),
        ("columns=x1:y1:x2:y2:score:class,format=yolo", (END_TO_END,), "format= does not go"),
        ("columns=x1:y1:x2:y2:score:class", (END_TO_END, SCORES), "head=NAME"),
        ("", (BOXES,), "columns=x1:y1:x2:y2:score:class for a detection a row"),
        ("boxes=b,scores=s,nms=much", (BOXES, SCORES), "nms=much is not a number"),
    ],
)
def test_options_that_do_not_fit_are_explained(
    text: str, specs: tuple[TensorSpec, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        reader(text, *specs)


def test_the_report_stays_clean_of_what_the_library_prints(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    matches((found((0, 0, 1, 1, 0, 0.5)), true((0, 0, 1, 1, 0))))
    assert capsys.readouterr().out == ""
    (tmp_path / "x").write_text(json.dumps(figures(matches((found(), true((0, 0, 1, 1, 0)))))))
    assert json.loads((tmp_path / "x").read_text()) == [0.0, 0.0]


def test_an_image_alone_is_scored_by_what_one_would_draw() -> None:
    """A hit beside a miss, a guess too faint to draw, nothing found, and nothing there."""
    images = [
        (found((0, 0, 10, 10, 3, 0.9), (50, 50, 60, 60, 3, 0.8)), true((0, 0, 10, 10, 3))),
        (found((0, 0, 10, 10, 3, 0.9), (50, 50, 60, 60, 3, 0.01)), true((0, 0, 10, 10, 3))),
        (found(), true((0, 0, 10, 10, 3))),
        (found(), true()),
    ]
    scores = matches(*images).by_sample()
    assert scores[:3].tolist() == pytest.approx([2 / 3, 1, 0])
    assert np.isnan(scores[3])
