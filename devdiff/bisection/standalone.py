"""Shows a difference between two places again, with nothing but numpy and a TFLite interpreter.

    python repro.py                          needs: pip install numpy ai-edge-litert
    python repro.py --runtime tflite_runtime the older package's interpreter

The model beside this file is run here on the inputs beside it, with XNNPACK and with the builtin
kernels, and its outputs are held against those that were recorded on both sides. The exit code is 0
when the outputs recorded differ, as they should.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
KERNELS = {"xnnpack": "AUTO", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}


def run(setup: dict[str, Any], model: str, runtime: str, kernels: str) -> list[Any]:
    """The outputs of every sample, each [samples, *shape], in the order of environment.json."""
    interpreters = importlib.import_module(f"{runtime}.interpreter")
    interpreter = interpreters.Interpreter(
        str(HERE / model),
        experimental_op_resolver_type=getattr(interpreters.OpResolverType, KERNELS[kernels]),
        num_threads=1,
    )
    interpreter.allocate_tensors()
    takes = {details["name"]: details["index"] for details in interpreter.get_input_details()}
    gives = {details["name"]: details["index"] for details in interpreter.get_output_details()}
    inputs = [(takes[tensor["name"]], load(tensor["file"])) for tensor in setup["inputs"]]
    outputs: list[list[Any]] = [[] for _ in setup["outputs"]]
    for sample in range(setup["samples"]):
        for index, values in inputs:
            interpreter.set_tensor(index, values[sample])
        interpreter.invoke()
        for found, tensor in zip(outputs, setup["outputs"]):  # noqa: B905 - runs on any Python 3
            found.append(interpreter.get_tensor(gives[tensor["name"]]))
    return [np.stack(found) for found in outputs]


def load(name: str) -> Any:
    return np.load(HERE / name, allow_pickle=False)


def difference(setup: dict[str, Any], left: list[Any], right: list[Any]) -> str:
    """How far apart two sides' outputs are, in words."""
    differing = elements = 0
    steps = error = 0.0
    for tensor, first, second in zip(setup["outputs"], left, right):  # noqa: B905
        apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
        differing += int(np.count_nonzero(~(first == second) & ~(np.isnan(apart))))
        elements += apart.size
        worst = float(np.nanmax(apart)) if apart.size else 0.0
        if tensor["scale"] is None:
            error = max(error, worst)
        else:
            steps = max(steps, worst)
            error = max(error, worst * tensor["scale"])
    if not differing:
        return "equal"
    unit = f"{steps:g} steps (LSB), " if steps else ""
    return f"{differing} of {elements} elements differ, by up to {unit}{error:.6g}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Show a recorded difference again.")
    parser.add_argument("--runtime", default="ai_edge_litert", help="a package with .interpreter")
    options = parser.parse_args()
    setup = json.loads((HERE / "environment.json").read_text())
    sides = ("reference", "candidate")
    # A side on which the operator failed has no outputs.
    shown = [side for side in sides if all(tensor[side] for tensor in setup["outputs"])]
    recorded = {side: [load(tensor[side]) for tensor in setup["outputs"]] for side in shown}
    print(f"operator:  {setup['operators']}")
    for side in sides:
        print(f"{side}: {setup[side]['name']}")
    message = setup["failure"]
    if message is None:
        message = difference(setup, recorded["reference"], recorded["candidate"])
    print(f"recorded:  reference against candidate: {message}")
    here: dict[tuple[str, str], list[Any]] = {}
    for model in dict.fromkeys(setup[side]["model"]["file"] for side in sides):
        for kernels in KERNELS:
            setting = f"{options.runtime} with {kernels} kernels, {model}"
            try:
                found = here[model, kernels] = run(setup, model, options.runtime, kernels)
            except (ImportError, RuntimeError, ValueError) as error:
                print(f"here:      {setting}: {error}")
                continue
            print(f"here:      {setting}:")
            for side in shown:
                print(
                    f"             against the {side}: {difference(setup, recorded[side], found)}"
                )
    return 0 if message != "equal" else 1


if __name__ == "__main__":
    sys.exit(main())
