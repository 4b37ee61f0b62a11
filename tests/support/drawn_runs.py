"""Run directories of small made-up models, for tests of what the page draws of their answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.exporter.artifact import sha256_file
from tests.support.bare_reports import bare_report, typed
from tests.support.pair_packs import binding, write_pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.report.model import Report

METRICS = {"detection": "mAP", "segmentation": "mean IoU", "sequence": "CER"}


def drawn_run(
    folder: Path,
    kind: str,
    inputs: Array,
    outputs: Mapping[str, Array],
    options: Mapping[str, str],
    *,
    names: Sequence[str] = (),
    texts: Sequence[str] = (),
    changes: Sequence[tuple[int, float, float]] = (),
) -> Report:
    """The report of a run in ``folder`` over ``inputs`` [N, *shape], whose rungs give one output
    ``y``: ``outputs`` by the rung's name, each [N, *shape].

    ``changes`` are samples that the last step changes, with what they score before and after.
    """
    count = len(inputs)
    (folder / "inputs").mkdir(parents=True)
    (folder / "rungs").mkdir()
    np.save(folder / "inputs/0.npy", inputs)
    np.save(folder / "inputs/tested.npy", np.arange(count))
    data = bare_report()
    record = data["inputs"] | {
        "calibration_origin": "none",
        "calibration_samples": 0,
        "names": [],
        "root": None,
        "guessed_classes": None,
        "at_least": False,
    }
    (folder / "inputs/inputs.json").write_text(json.dumps(record))
    rungs = []
    for name, values in outputs.items():
        output = binding("y", values.shape[1:], str(values.dtype))
        pack = folder / f"rungs/{name}.pack"
        write_pack(pack, [output], [[sample] for sample in values])
        pack.with_suffix(".json").write_text(json.dumps({"outputs": [asdict(output)]}))
        known = {"name": name, "error": None, "results_sha256": sha256_file(pack)}
        rungs.append(data["rungs"][0] | known | {"samples": count})
    data["rungs"] = rungs
    before, after = list(outputs)[-2:]
    step = {"reference": before, "candidate": after, "step": "compression"}
    judgement = {"verdict": "fail", "reasons": ["for a reason"], "passing": {}, "outputs": {}}
    # Of the comparison only that there is one matters here.
    empty = {
        "reference": before,
        "candidate": after,
        "samples": count,
        "compared": count,
        "reference_failed": 0,
        "candidate_failed": 0,
        "failures": [],
        "outputs": [],
        "classifications": [],
    }
    data["pairs"] = [step | {"gates": True, "judgement": judgement, "comparison": empty}]
    data["samples"] = {
        str(place): {"row": place, "name": None, "label": None}
        | ({"text": texts[place]} if texts else {})
        for place in range(count)
    }
    data["task"] = _task(kind, options, step, changes, count)
    if names:
        data["classes"] = {"names": list(names), "origin": "names.txt"}
    return typed(data)


def _task(
    kind: str,
    options: Mapping[str, str],
    step: Mapping[str, str],
    changes: Sequence[tuple[int, float, float]],
    count: int,
) -> dict[str, Any]:
    value = {"value": 0.5, "low": 0.4, "high": 0.6}
    metric = METRICS[kind]
    return {
        "kind": kind,
        "options": dict(options),
        "truth": "truth.json",
        "from_source": False,
        "max_drop": 0.05,
        "samples": count,
        "confidence": 0.95,
        "resamples": 1000,
        "seed": 0,
        "metrics": [
            {
                "name": metric,
                "higher_is_better": kind != "sequence",
                "interval": "bootstrap",
                "share": True,
            }
        ],
        "rungs": [
            {"rung": step[side], "values": {metric: value}, "error": None}
            for side in ("reference", "candidate")
        ],
        "steps": [
            {
                **step,
                "changed": len(changes),
                "drops": {metric: value},
                "verdict": "fail",
                "most_changed": [
                    dict(zip(("sample", "before", "after"), change, strict=True))
                    for change in changes
                ],
            }
        ],
    }


def boxes_run(folder: Path) -> Report:
    """Two objects a sample; int8 moves one of them away, and finds another class."""
    images = np.full((3, 1, 3, 64, 96), 0.25, np.float32)
    images[:, :, 0, 10:30, 10:40] = 0.9
    rows = np.array([[10, 10, 40, 30, 0.9, 1], [50, 20, 90, 60, 0.8, 0]], np.float32)
    source = np.broadcast_to(rows, (3, 1, 2, 6)).copy()
    moved = source.copy()
    moved[1, 0, 1] = [5, 40, 45, 62, 0.7, 1]
    outputs = {"source": source, "float": source + np.float32(1e-4), "int8": moved}
    return drawn_run(
        folder,
        "detection",
        images,
        outputs,
        {"columns": "x1:y1:x2:y2:score:class"},
        names=("cat", "dog"),
        changes=[(1, 1.0, 0.5)],
    )


def masks_run(folder: Path) -> Report:
    """A square of class 2 on a ground of class 0; int8 loses the upper half of it."""
    images = np.zeros((2, 1, 3, 32, 32), np.float32)
    images[..., 8:24, 8:24] = 1
    scores = np.zeros((2, 1, 3, 32, 32), np.float32)
    scores[:, :, 0] = 0.5
    scores[:, :, 2, 8:24, 8:24] = 1
    halved = scores.copy()
    halved[:, :, 2, 8:16] = 0
    outputs = {"source": scores, "int8": halved}
    names = ("ground", "road", "car")
    return drawn_run(
        folder,
        "segmentation",
        images,
        outputs,
        {},
        names=names,
        changes=[(0, 1.0, 0.6), (1, 1.0, 0.6)],
    )


def texts_run(folder: Path) -> Report:
    """Lines of text read with CTC; int8 takes the third letter for another and loses the last."""
    symbols = ("", *"abcd")

    def scores(text: str) -> Array:
        steps = [step for letter in text for step in (symbols.index(letter), 0)]
        return np.eye(5, dtype=np.float32)[[*steps, *[0] * (12 - len(steps))]][None]

    read = {"source": ("abcd", "dcba"), "int8": ("aba", "dcba")}
    outputs = {rung: np.stack([scores(text) for text in texts]) for rung, texts in read.items()}
    images = np.zeros((2, 1, 1, 16, 48), np.float32)
    return drawn_run(
        folder,
        "sequence",
        images,
        outputs,
        {"alphabet": "/nowhere/alphabet.txt"},
        names=symbols,
        texts=("abcd", "dcba"),
        changes=[(0, 0.0, -0.5)],
    )


def sounds_run(folder: Path) -> Report:
    """A rising and a steady tone of a second."""
    time = np.arange(16000) / 16000
    waves = np.stack([np.sin(2 * np.pi * (300 + 2000 * time) * time), np.sin(2000 * time)])
    outputs = {
        rung: np.zeros((2, 1, 4, 5), np.float32) + np.float32(value)
        for value, rung in enumerate(("source", "int8"))
    }
    return drawn_run(
        folder,
        "sequence",
        waves[:, None].astype(np.float32),
        outputs,
        {},
        changes=[(0, 0.0, -0.5), (1, 0.0, -0.5)],
    )
