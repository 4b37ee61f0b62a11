"""The models of `runner_zoo` seen from outside: their inputs, and samples to run them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from devdiff.device_runner.pack import PackTensor

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

# Every model's inputs as its flatbuffer names them, in an order of no significance.
INPUTS: dict[str, tuple[PackTensor, ...]] = {
    "classifier_float": (
        PackTensor("serving_default_image:0", "float32", (1, 16, 16, 3), "image"),
    ),
    "classifier_int8": (PackTensor("serving_default_image:0", "int8", (1, 16, 16, 3), "image"),),
    "classifier_unsigned": (PackTensor("image", "float32", (1, 16, 16, 3)),),
    "order_trap": (
        PackTensor("serving_default_zebra:0", "float32", (1, 6), "zebra"),
        PackTensor("serving_default_ant:0", "float32", (1, 6), "ant"),
    ),
    "positives": (PackTensor("serving_default_values:0", "float32", (8,), "values"),),
    "any_length": (PackTensor("serving_default_rows:0", "float32", (3, 4), "rows"),),
    "picky": (PackTensor("serving_default_indices:0", "int32", (2,), "indices"),),
    "types": (
        PackTensor("serving_default_octets:0", "uint8", (7,), "octets"),
        PackTensor("serving_default_wide:0", "int64", (3,), "wide"),
        PackTensor("serving_default_flags:0", "bool", (5,), "flags"),
    ),
}


def samples(model: str, count: int = 6) -> list[list[Array]]:
    """Samples in the order of `INPUTS`, the same ones each time."""
    generator = np.random.default_rng(sum(model.encode()))
    made = []
    for position in range(count):
        sample: list[Array] = []
        for tensor in INPUTS[model]:
            shape = tensor.shape
            value: Array
            if model == "any_length":
                shape = ((3, 1, 7)[position % 3], 4)
            if model == "picky":
                value = generator.integers(0, 4, shape)
            elif tensor.dtype == "bool":
                value = generator.integers(0, 2, shape)
            elif tensor.dtype == "float32":
                value = generator.normal(0, 1, shape)
            else:
                info = np.iinfo(tensor.dtype)
                value = generator.integers(info.min, info.max, shape, np.dtype(tensor.dtype))
            sample.append(np.asarray(value).astype(tensor.dtype))
        made.append(sample)
    return made
