"""Result packs for the tests of the comparison, written sample by sample as runners write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from devdiff.comparison import PairComparison, RungOutputs, compare
from devdiff.device_runner.pack import (
    Header,
    PackTensor,
    Status,
    encode_done,
    encode_header,
    encode_record,
)
from devdiff.exporter.artifact import Array, Binding, Quantization, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def binding(
    name: str,
    shape: tuple[int, ...],
    dtype: str = "float32",
    *,
    quantization: Quantization | None = None,
    permutation: tuple[int, ...] | None = None,
    tensor: str | None = None,
    signature: str = "",
) -> Binding:
    """An output ``name`` of the source, ``shape`` there, stored as ``dtype`` in the artifact."""
    axes = permutation or tuple(range(len(shape)))
    source = TensorSpec(name, shape, "float32" if quantization else dtype)
    artifact = TensorSpec(tensor or name, tuple(shape[a] for a in axes), dtype, quantization)
    return Binding(source, artifact, axes, signature)


def write_pack(
    path: Path, outputs: Sequence[Binding], samples: Sequence[Sequence[Array] | str]
) -> Path:
    """A complete pack; a sample is its arrays in the order of ``outputs``, or why it failed."""
    tensors = tuple(PackTensor.of(b.artifact, b.signature_name) for b in outputs)
    with path.open("wb") as stream:
        stream.write(encode_header(Header({}, tensors)))
        for index, sample in enumerate(samples):
            if isinstance(sample, str):
                stream.write(encode_record(index, status=Status.FAILED, message=sample))
            else:
                stream.write(encode_record(index, sample, nanoseconds=1000 + index))
        stream.write(encode_done(len(samples)))
    return path


def rung(
    folder: Path,
    name: str,
    outputs: Sequence[Binding],
    values: Sequence[Array],
    failed: Mapping[int, str] | None = None,
) -> RungOutputs:
    """A rung whose ``values`` are, for each output, all samples stacked, as stored."""
    samples: list[Sequence[Array] | str] = [list(sample) for sample in zip(*values, strict=True)]
    for index, message in (failed or {}).items():
        samples[index] = message
    pack = write_pack(folder / f"{name}.pack", outputs, samples)
    return RungOutputs(name, pack, tuple(outputs))


def compare_arrays(
    folder: Path,
    reference: Array,
    candidate: Array,
    *,
    quantization: tuple[Quantization | None, Quantization | None] = (None, None),
    labels: Array | None = None,
) -> PairComparison:
    """Compare one output ``y``: stacks of samples ``[N, *shape]`` as stored."""
    sides = []
    for name, values, affine in zip(
        ("source", "float"), (reference, candidate), quantization, strict=True
    ):
        output = binding("y", values.shape[1:], str(values.dtype), quantization=affine)
        sides.append(rung(folder, name, [output], [values]))
    return compare(*sides, labels=labels)


def float32(*values: float) -> Array:
    return np.array(values, np.float32)
