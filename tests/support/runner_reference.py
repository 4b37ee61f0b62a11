"""Runs models of the zoo in Python's interpreter; run as a child process.

Usage: ``python runner_reference.py DIRECTORY OUT.npz``. Writes one array for each model, kernels,
sample and output, under the key ``model|kernels|sample|tensor name``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.support.runner_cases import INPUTS, samples

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

KERNELS = {
    "xnnpack": OpResolverType.AUTO,
    "none": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}


def outputs(path: Path, kernels: str) -> list[dict[str, Array]]:
    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=KERNELS[kernels], num_threads=1
    )
    made = []
    for sample in samples(path.stem):
        index = {details["name"]: details["index"] for details in interpreter.get_input_details()}
        for tensor, value in zip(INPUTS[path.stem], sample, strict=True):
            interpreter.resize_tensor_input(index[tensor.name], value.shape)
        interpreter.allocate_tensors()
        for tensor, value in zip(INPUTS[path.stem], sample, strict=True):
            interpreter.set_tensor(index[tensor.name], value)
        interpreter.invoke()
        made.append(
            {
                details["name"]: interpreter.get_tensor(details["index"])
                for details in interpreter.get_output_details()
            }
        )
    return made


def main(directory: Path, target: Path) -> None:
    arrays = {
        f"{model}|{kernels}|{position}|{name}": value
        for model in INPUTS
        for kernels in KERNELS
        for position, found in enumerate(outputs(directory / f"{model}.tflite", kernels))
        for name, value in found.items()
    }
    np.savez(target, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
