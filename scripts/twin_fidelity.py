"""Compares the differentiable twin with the interpreter on real models; prints a Markdown table."""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from devdiff.errors import UnknownOperatorError
from devdiff.exporter.artifact import Array, Artifact
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import MANIFEST_NAME, Manifest
from devdiff.exporter.tflite_graph import read_graph
from devdiff.scanner.fidelity import Fidelity, OutputFidelity, check_fidelity
from devdiff.scanner.twin import Twin
from tests.models.model_catalogue import CATALOGUE, by_name

if TYPE_CHECKING:
    from devdiff.exporter.recipe import Precision

DIGITS: Final = Path(__file__).resolve().parent.parent / "examples" / "digits"
PRECISIONS: Final[tuple[Precision, ...]] = ("float32", "int8")
_HEADER: Final = (
    "model",
    "precision",
    "samples",
    "same answer",
    "undecided",
    "max error",
    "within 1 LSB",
    "SQNR",
    "faithful",
    "interpreter",
    "twin",
)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model to export, with inputs by name [N, *shape] to calibrate and to compare on."""

    name: str
    inputs: dict[str, Array]
    source: Path
    shapes: Sequence[str] = ()

    def export(self, folder: Path) -> Manifest:
        """Its artifacts in ``folder``, made unless they lie there."""
        if not (folder / MANIFEST_NAME).exists():
            folder.mkdir(parents=True, exist_ok=True)
            samples = folder / "inputs.npz"
            np.savez(samples, **self.inputs)
            command = [sys.executable, "-m", "devdiff", "export", str(self.source)]
            command += ["--out", str(folder), "--inputs", str(samples), *self.shapes]
            subprocess.run(command, check=False, stdout=sys.stderr)
        return Manifest.load(folder)


def _subject(name: str, samples: int, scratch: Path) -> _Subject:
    if name == "digits":
        with np.load(DIGITS / "heldout.npz") as arrays:
            images = (arrays["image"][:samples, np.newaxis] / 255).astype(np.float32)
        return _Subject(name, {"image": images}, DIGITS / "digits.onnx")
    model = by_name(name)
    return _Subject(name, model.inputs(samples, 1), model.fetch(scratch), model.shape_arguments())


def _interpret(artifact: Artifact, inputs: dict[str, Array]) -> tuple[list[Array], list[Array]]:
    """What the twin is fed and what the interpreter answers, in the order of the graph."""
    interpreter = Interpreter(str(artifact.path), num_threads=1)
    interpreter.allocate_tensors()
    places = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    fed: dict[int, list[Array]] = {index: [] for index in places.values()}
    answers: list[list[Array]] = [[] for _ in outputs]
    for sample in range(len(next(iter(inputs.values())))):
        for binding in artifact.inputs:
            stored = binding.encode(inputs[binding.source.name][sample])
            index = places[binding.artifact.name]
            interpreter.set_tensor(index, stored)
            quantization = binding.artifact.quantization
            fed[index].append(quantization.dequantize(stored) if quantization else stored)
        interpreter.invoke()
        for answer, index in zip(answers, outputs, strict=True):
            answer.append(interpreter.get_tensor(index))
    order = [detail["index"] for detail in interpreter.get_input_details()]
    return [np.stack(fed[index]) for index in order], [np.stack(answer) for answer in answers]


def _cells(fidelity: Fidelity) -> list[str]:
    output: OutputFidelity = min(fidelity.outputs, key=lambda entry: entry.sqnr_db)
    top_1, error = output.top_1, f"{output.max_error:.1e}"
    share = "–" if output.within_one_lsb is None else f"{output.within_one_lsb:.2%}"
    return [
        str(output.samples),
        "–" if top_1 is None else f"{top_1.successes} of {top_1.trials}",
        "–" if top_1 is None else str(output.undecided),
        error if output.max_lsb is None else f"{output.max_lsb:g} LSB",
        share,
        "exact" if math.isinf(output.sqnr_db) else f"{output.sqnr_db:.1f} dB",
        "yes" if fidelity.ok else "**no**",
    ]


def rows(subject: _Subject, folder: Path) -> list[list[str]]:
    """A row for each artifact of the model."""
    found = []
    try:
        manifest = subject.export(folder)
    except ArtifactError:
        return [[subject.name, "–", *["–"] * 6, "does not convert", "–", "–"]]
    for precision in PRECISIONS:
        cells = [subject.name, precision]
        artifact = manifest.artifact(folder, precision)
        try:
            twin = Twin(read_graph(artifact.path))
            start = time.perf_counter()
            fed, answers = _interpret(artifact, subject.inputs)
            interpreted = time.perf_counter() - start
        except (UnknownOperatorError, RuntimeError) as error:
            print(f"{subject.name} {precision}: {error}", file=sys.stderr)
            reason = (
                "unknown operator" if isinstance(error, UnknownOperatorError) else "does not run"
            )
            found.append([*cells, *["–"] * 6, reason, "–", "–"])
            continue
        start = time.perf_counter()
        fidelity = check_fidelity(twin, answers, fed)
        twinned = time.perf_counter() - start
        count = len(answers[0])
        times = [f"{1e3 * seconds / count:.1f} ms" for seconds in (interpreted, twinned)]
        found.append([*cells, *_cells(fidelity), *times])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = ["digits", *(model.name for model in CATALOGUE if not model.large)]
    parser.add_argument("models", nargs="*", default=known, metavar="MODEL", help=" ".join(known))
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--work", type=Path, help="folder that keeps the exported models")
    args: Any = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| {' | '.join(_HEADER)} |\n|{'---|' * len(_HEADER)}")
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        for name in args.models:
            subject = _subject(name, args.samples, Path(scratch))
            for cells in rows(subject, work / name):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
