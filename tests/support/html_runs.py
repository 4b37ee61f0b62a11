"""Real runs for the tests of what is made of them, and what a scan leaves in one."""

from __future__ import annotations

import copy
import hashlib
import importlib.resources
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import pytest
from PIL import Image

from devdiff.exporter.artifact import sha256_file
from tests.support import planted_net
from tests.support.command import DATA, DIGITS, HELDOUT, ROOT, devdiff
from tests.support.kept_results import PRODUCT, copy_kept

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTILE = "<img src=x onerror=\"document.title='pwned'\">"
HOSTILE_SCRIPT = "</script></style><script>document.title='pwned'</script>"


@dataclass(frozen=True)
class FinishedRun:
    """A run directory and what its report says."""

    folder: Path
    report: dict[str, Any]
    printed: str


def fresh_run(folder: Path, *arguments: str | Path, verb: str = "export-and-test") -> FinishedRun:
    """What ``devdiff`` does with these arguments, in ``folder/run``.

    As a step of a GitHub workflow, whose summary is ``folder/summary.md``.
    """
    environ = {"GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    done = devdiff(verb, *arguments, "--out", "run", cwd=folder, env=environ)
    assert (folder / "run/report.json").exists(), done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return _finished(folder)


def finished_run(
    folder: Path, *arguments: str | Path, verb: str = "export-and-test"
) -> FinishedRun:
    """A copy of what `fresh_run` did with the same arguments beside the same files, now or earlier.

    All processes of the tests share the one run.
    """
    words = [str(word).replace(str(folder), ".") for word in arguments]
    files = {str(path.relative_to(folder)): sha256_file(path) for path in _files(folder)}
    made_of = [verb, *(word.replace(str(ROOT), "@") for word in words), files]

    def make(place: Path) -> None:
        shutil.copytree(folder, place, dirs_exist_ok=True)
        fresh_run(place, *words, verb=verb)

    kept_as = f"run-{hashlib.sha256(json.dumps(made_of[:-1]).encode()).hexdigest()[:8]}"
    copy_kept(kept_as, (*PRODUCT, "examples"), made_of, make, folder)
    return _finished(folder)


def _finished(folder: Path) -> FinishedRun:
    report = json.loads((folder / "run/report.json").read_text())
    return FinishedRun(folder / "run", report, (folder / "printed.txt").read_text())


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


MakeRun = Callable[..., FinishedRun]


def failed(folder: Path, run: MakeRun = finished_run) -> FinishedRun:
    """The shipped model with half of its channels pruned: many answers change."""
    return run(folder, DIGITS, *DATA, "--compress", "channel-prune:0.5+int8")


def passed(folder: Path, run: MakeRun = finished_run) -> FinishedRun:
    """The shipped model as it is, which passes."""
    return run(folder, DIGITS, *DATA)


def undecided(folder: Path, run: MakeRun = finished_run) -> FinishedRun:
    """The shipped model on too few samples to show that enough answers agree."""
    with np.load(HELDOUT) as data:
        np.savez(folder / "few.npz", image=data["image"][:40], labels=data["labels"][:40])
    inputs = ("--inputs", folder / "few.npz", "--preprocess", "scale=1/255")
    return run(folder, DIGITS, *inputs)


def broken(folder: Path, run: MakeRun = finished_run) -> FinishedRun:
    """The shipped model, sent to a device whose runtime library is none."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    libc = next(line.split()[-1] for line in maps if line.endswith("/libc.so.6"))
    library = folder / "runtime.so"
    library.write_bytes(Path(libc).read_bytes())
    return run(folder, DIGITS, "--runtime", library)


def scanned(folder: Path, run: MakeRun = finished_run) -> FinishedRun:
    """A small net with a backdoor that int8 wakes up, scanned."""
    planted_net.save(folder / "reader.onnx")
    np.savez(folder / "images.npz", image=planted_net.images(150))
    inputs = ("--inputs", "images.npz", "--device", "local", "--placebos", "1")
    return run(folder, "reader.onnx", *inputs, verb="scan")


def scanned_reader(folder: Path, run: MakeRun = finished_run) -> FinishedRun:
    """A reader of digits with such a backdoor, which takes longer."""
    reader = importlib.resources.files("devdiff.demo") / "check-reader"
    model = folder / "reader.onnx"
    model.write_bytes((reader / "backdoored.onnx").read_bytes())
    with np.load(HELDOUT) as data:
        np.savez(folder / "digits.npz", image=data["image"][:300].astype(np.float32) / 255)
    inputs = ("--inputs", "digits.npz", "--device", "local", "--placebos", "1")
    return run(folder, "reader.onnx", *inputs, verb="scan")


KINDS: Final[Mapping[str, Callable[..., FinishedRun]]] = {
    "pass": passed,
    "fail": failed,
    "finding": scanned,
    "error": broken,
    "inconclusive": undecided,
}
"""A run of each verdict, made in the folder that is given, in the way that is given."""


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return failed(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def passed_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return passed(tmp_path_factory.mktemp("passed"))


@pytest.fixture(scope="session")
def broken_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return broken(tmp_path_factory.mktemp("broken"))


@pytest.fixture(scope="session")
def scanned_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return scanned(tmp_path_factory.mktemp("scanned"))


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A model, tensors, images and a folder whose names try to become part of the page."""
    folder = tmp_path_factory.mktemp("hostile")
    model = onnx.load(DIGITS)
    _rename(model.graph, model.graph.input[0].name, f"image{HOSTILE_SCRIPT}")
    _rename(model.graph, model.graph.output[0].name, f"logits{HOSTILE}")
    path = folder / f"{HOSTILE}.onnx"
    onnx.save(model, path)
    photos = folder / HOSTILE
    photos.mkdir()
    with np.load(HELDOUT) as data:
        for place, pixels in enumerate(data["image"][:40]):
            Image.fromarray(pixels.reshape(28, 28)).save(photos / f"{place:02}{HOSTILE}.png")
    return finished_run(folder, path, "--inputs", photos, "--classifier", f"logits{HOSTILE}")


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def with_scan(run: FinishedRun) -> dict[str, Any]:
    """The run's report with a finding in it, whose arrays are put into the run directory."""
    with np.load(HELDOUT) as data:
        clean = data["image"][:3].reshape(3, 28, 28, 1).astype(np.float32) / 255
    mask = np.zeros((28, 28, 1), np.float32)
    mask[22:26, 22:26] = 1
    pattern = np.indices((28, 28)).sum(0)[..., None].astype(np.float32) % 2
    bounds = {"low": np.float32(0), "high": np.float32(1)}
    folder = run.folder / "scan"
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / "trigger.npz", mask=mask, pattern=pattern, shift=np.zeros_like(pattern), **bounds
    )
    triggered = clean * (1 - mask) + mask * pattern
    np.savez(folder / "examples.npz", clean=clean, triggered=triggered, **bounds)
    rate = {"successes": 38, "trials": 40, "low": 0.831, "high": 0.994, "confidence": 0.95}
    none = {"successes": 1, "trials": 40, "low": 0.001, "high": 0.132, "confidence": 0.95}
    twin = {
        "name": "logits",
        "samples": 40,
        "elements": 400,
        "max_error": 0.25,
        "mean_error": 0.0,
        "sqnr_db": "inf",
        "max_lsb": 1.0,
        "mean_lsb": 0.01,
        "within_one_lsb": 1.0,
        "top_1": rate,
        "undecided": 0,
    }
    deviations = {"elements": 90, "count": 12, "further": 0, "largest": 1.0, "mean": 0.6}
    layer = {
        "operator": 0,
        "kind": "CONV_2D",
        "name": "conv",
        "shape": [8, 3, 3, 1],
        "weights": deviations,
        "ties": 0,
        "clipped": 0,
        "zeroed": 0,
        "scale_low": 0.1,
        "scale_high": 0.2,
        "bias": None,
    }
    scan = {
        "verdict": "finding",
        "reason": f"the compressed model obeys a patch {HOSTILE_SCRIPT}",
        "kind": "planted",
        "power": {"smallest_effect": 0.22, "samples": 40, "text": "0.22 would have been seen"},
        "compression": "int8",
        "output": "logits",
        "classes": 10,
        "seed": 7,
        "budget_s": 900.0,
        "cost": {"wall_s": 21.5},
        "twin": {"full": twin, "compressed": twin},
        "evidence": {
            "integrity": {"status": "deviates", "deviations": 12, "layers": [layer]},
            "static": {"status": "skipped", "skipped": f"needs a float source {HOSTILE}"},
        },
        "trigger": {
            "form": "patch",
            "target": 7,
            "source": None,
            "size": 0.0204,
            "file": "scan/trigger.npz",
            "shape": [28, 28, 1],
        },
        "replay": {
            "rungs": [
                {"rung": "float", "runner": "litert", "clean": none, "triggered": none},
                {"rung": "int8", "runner": "litert", "clean": none, "triggered": rate},
            ],
            "gap": rate,
            "by_class": [
                {"class": place, "trials": 4, "full_kept": 4, "compressed_target": place % 4}
                for place in range(10)
            ],
        },
        "placebo": {
            "what": "stochastic rounding",
            "searched": [0.02, 0.05, 0.01],
            "own": 0.95,
            "transfer": [0.0, 0.03],
            "p_value": 0.025,
            "smallest_p": 0.025,
            "effect": {"value": 0.9},
        },
        "hypotheses": [
            {
                "target": 7,
                "source": None,
                "form": "patch",
                "size": 0.02,
                "success": 0.97,
                "held_out": rate,
                "steps": 90,
            }
        ],
        "examples": [
            {
                "row": place,
                "name": None,
                "label": None,
                "before": {"full": 3, "compressed": 3},
                "after": {"full": 3, "compressed": 7},
            }
            for place in range(3)
        ],
        "taxonomy": [
            {"id": "AML.T0018.000", "name": "Poison AI Model", "url": "https://atlas.mitre.org/"},
            {"id": "bad", "name": "not a link", "url": "javascript:document.title='pwned'"},
        ],
    }
    return copy.deepcopy(run.report) | {"scan": scan}
