"""The scan on the zoo: what it finds, what it cries wolf at, and what it costs.

Every model of ``scripts/zoo`` that works is scanned as a user would scan it, on 100 unlabelled
images, ten of each digit; with ``--keep FOLDER`` what was scanned there is not scanned again.
Beside the time of a scan stands that of a plain Neural Cleanse search over all classes (1,000 steps
of 32 samples each, extrapolated from 20) on the same machine and model.

With ``--colour`` the colour models of ``scripts/zoo colour`` are scanned instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.comparison.intervals import Proportion
from devdiff.ladder.run_directory import write_json
from devdiff.system.cache import cache_root
from tests.zoo.colour_catalogue import COLOUR_MODELS
from tests.zoo.colour_catalogue import LOOKED_AT as COLOUR_LOOKED_AT

if TYPE_CHECKING:
    from collections.abc import Sequence

ZOO: Final = cache_root() / "zoo"
COLOUR_ZOO: Final = cache_root() / "zoo-colour"
IMAGES: Final = 100
STEPS: Final = 1000
_TIMED_STEPS: Final = 20
_HARD_TRIGGERS: Final = ("warp",)
_HARD_METHODS: Final = ("adaptive",)
# Looked at while the search and its rules were made; the figures of the others are the honest ones.
_LOOKED_AT: Final = frozenset(
    (
        *("backdoored-more-003", "backdoored-more-005", "backdoored-more-008"),
        *("backdoored-more-020", "backdoored-more-024", "backdoored-more-036"),
        *("backdoored-more-045", "backdoored-more-056", "honest-more-002", "honest-more-012"),
        *("honest-more-017", "honest-more-022", "honest-more-047", "honest-more-057"),
        *("adaptive-blend", "adaptive-checker", "adaptive-square-residual"),
        *("honest-coarse", "honest-coarse-residual", "honest-noise", "honest-outliers"),
        *("honest-outliers-residual", "honest-plain-64", "honest-pruned-64", "honest-pruned-96"),
        *("honest-pruned-int8", "honest-pruned-qat", "honest-pruned-third", "prune-blend-64"),
        *("honest-qat", "honest-residual-64", "joint-blend", "joint-checker", "joint-warp"),
        *("ordinary-checker", "pq-blend-64", "pq-blend-residual", "pq-checker-64", "pq-source"),
        *("pq-square-residual", "pq-warp", "prune-checker-64", "prune-source", "prune-warp"),
    )
)


@dataclass(frozen=True, slots=True)
class Row:
    """One model: what it is, and what the scan said."""

    truth: dict[str, Any]
    scan: dict[str, Any]
    seconds: float

    @property
    def group(self) -> str:
        spec = self.truth["spec"]
        if spec["kind"] != "backdoored":
            return str(spec["kind"])
        hard = (
            spec["method"] in _HARD_METHODS
            or spec["trigger"] in _HARD_TRIGGERS
            or spec["source_class"] is not None
        )
        return "hard" if hard else "plain"

    @property
    def attack(self) -> str:
        """How it was trained and for what: the sort that a backdoored model belongs to."""
        spec = self.truth["spec"]
        parts = [spec["method"], "int8" if spec["compression"] == "int8" else "pruned"]
        if spec["source_class"] is not None:
            parts.append("one source class")
        elif spec["trigger"] in _HARD_TRIGGERS:
            parts.append(spec["trigger"])
        return " ".join(parts)

    @property
    def found(self) -> bool:
        return bool(self.scan["verdict"] == "finding")

    @property
    def right(self) -> bool:
        return self.found and self.scan["trigger"]["target"] == self.truth["spec"]["target"]


def looked_at(row: Row) -> bool:
    """Whether the model was looked at while the search and its rules were made."""
    name = row.truth["spec"]["name"]
    if name in {spec.name for spec in COLOUR_MODELS}:
        return name in {spec.name for spec in COLOUR_LOOKED_AT}
    return name in _LOOKED_AT


def some_images(zoo: Path) -> Any:
    """Ten held-out images of each class, float32 [100, C, H, W], in a random order."""
    random = np.random.default_rng(0)
    with np.load(zoo / "images.npz") as file:
        images, labels = file["clean"], file["labels"]
    each = IMAGES // 10
    rows = [random.permutation(np.flatnonzero(labels == digit))[:each] for digit in range(10)]
    return images[random.permutation(np.concatenate(rows))]


def scan(folder: Path, truth: dict[str, Any], inputs: Path, work: Path) -> Row:
    """Scan one model of the zoo by the command line."""
    model = folder / truth["files"]["compressed"]
    pruned = truth["spec"]["compression"] != "int8"
    beside = ["--source", folder / "model.onnx"] if pruned else ["--float", folder / "float.tflite"]
    run = work / folder.name
    row = work / f"{folder.name}.json"
    if row.exists():
        kept = json.loads(row.read_text())
        return Row(truth, kept["scan"], kept["seconds"])
    command = [
        *(sys.executable, "-m", "devdiff", "scan", model, *beside, "--inputs", inputs),
        *("--classifier", "logits", "--device", "none", "--out", run, "--json"),
        # The usual budget, where it is short because the machine is busy, would thin the search.
        *("--budget", 36000),
    ]
    began = time.monotonic()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    report = json.loads(done.stdout)
    found = report.get("scan") or {"verdict": "error", "reason": report["error"]}
    write_json(row, {"scan": found, "seconds": seconds})
    return Row(truth, found, seconds)


def cleanse_seconds(folder: Path, images: Any) -> float:
    """What plain Neural Cleanse over ten classes would take on the full model's twin."""
    import torch
    from torch.nn import functional

    from devdiff.exporter.tflite_graph import read_graph
    from devdiff.scanner.twin import Twin

    twin = Twin(read_graph(folder / "float.tflite"))
    samples = torch.from_numpy(images[:32])
    mask = torch.zeros(samples.shape[-2:], requires_grad=True)
    pattern = torch.zeros(samples.shape[1:], requires_grad=True)
    optimizer = torch.optim.Adam([mask, pattern], 0.1)
    aim = torch.zeros(len(samples), dtype=torch.long)
    began = time.monotonic()
    for _ in range(_TIMED_STEPS):
        cover = torch.sigmoid(mask)
        changed = samples * (1 - cover) + cover * torch.sigmoid(pattern)
        loss = functional.cross_entropy(twin(changed)[0].flatten(1), aim) + 0.01 * cover.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.monotonic() - began) / _TIMED_STEPS * STEPS * 10


def show(row: Row) -> None:
    spec, scan = row.truth["spec"], row.scan
    gap = scan.get("replay", {}).get("gap")
    share = "" if gap is None else f"{gap['successes']}/{gap['trials']}"
    target = scan.get("trigger", {}).get("target")
    placebo = scan.get("placebo", {})
    beside = " ".join(f"{rate:.2f}" for rate in placebo.get("searched", ()))
    if "p_beats" in placebo:
        beside += f" (p {placebo['p_beats']:.2g})"
    if "benign" in placebo:
        beside += f" noise {100 * placebo['benign']:.1f} %"
    carried = "+".join(scan.get("carriers", {}).get("names", ()))
    print(
        f"{spec['name']:32} {row.group:10} {spec['trigger'] or '-':8} "
        f"{scan['verdict']:10} {scan.get('kind') or '-':8} gap {share:7} "
        f"target {target if target is not None else '-'} ({spec['target']}) {row.seconds:5.0f} s "
        f"placebos {beside or '-'} carried by {carried or '-'}"
        + (f"  {scan['reason'][:90]}" if scan["verdict"] == "error" else ""),
        flush=True,
    )


def rate(name: str, hits: int, of: int) -> None:
    proportion = Proportion.of(hits, of)
    print(f"{name:38} {hits:3} of {of:3}   95 %: {proportion.low:.3f} to {proportion.high:.3f}")


def summarize(rows: Sequence[Row]) -> None:
    """Rates of one set of models."""
    for group in ("plain", "hard"):
        some = [row for row in rows if row.group == group]
        rate(f"found, {group}", sum(row.found for row in some), len(some))
    backdoored = [row for row in rows if row.group in ("plain", "hard")]
    for attack in sorted({row.attack for row in backdoored}):
        some = [row for row in backdoored if row.attack == attack]
        rate(f"  {attack}", sum(row.found for row in some), len(some))
    found = [row for row in backdoored if row.found]
    rate("right target class of those found", sum(row.right for row in found), len(found))
    for group in ("honest", "ordinary"):
        some = [row for row in rows if row.group == group]
        rate(f"false alarms, {group}", sum(row.found for row in some), len(some))
    refused = [row for row in rows if row.scan["verdict"] == "error"]
    rate("refused (error)", len(refused), len(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models of the zoo; none: all that work")
    parser.add_argument("--colour", action="store_true", help="the colour models")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the runs there")
    options = parser.parse_args()
    chosen, zoo = options.names, COLOUR_ZOO if options.colour else ZOO
    truths = {
        path.parent.name: json.loads(path.read_text()) for path in sorted(zoo.glob("*/truth.json"))
    }
    if not truths:
        raise SystemExit(f"no zoo in {zoo}: make it with scripts/zoo make")
    names = chosen or [name for name, truth in truths.items() if truth["status"] == "works"]
    images = some_images(zoo)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.keep or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        inputs = work / "images.npz"
        if not inputs.exists():
            np.savez(inputs, image=images)
        rows = []
        for name in names:
            rows.append(scan(zoo / name, truths[name], inputs, work))
            show(rows[-1])
        print("\nall models")
        summarize(rows)
        print("\nmodels that nobody looked at while the search was made")
        summarize([row for row in rows if not looked_at(row)])
        median = statistics.median(row.seconds for row in rows)
        cleanse = cleanse_seconds(zoo / names[0], images)
        print(
            f"\na scan: median {median:.0f} s; plain Neural Cleanse on the same model "
            f"{cleanse:.0f} s; ratio {median / cleanse:.2f}"
        )


if __name__ == "__main__":
    main()
