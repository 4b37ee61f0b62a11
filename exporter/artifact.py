"""The deployable file and the description of its tensors.

This module is what every other package may import: it knows NumPy and nothing heavier.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devdiff.exporter.errors import ArtifactError

Array = npt.NDArray[Any]


def sha256_file(path: Path) -> str:
    """SHA-256 of a file as lower-case hex; reads it in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_hashes(path: Path) -> dict[str, str]:
    """SHA-256 of a file by its name, or of every file in a folder by its path in it."""
    if not path.is_dir():
        return {path.name: sha256_file(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): sha256_file(file) for file in files}


def sha256_path(path: Path) -> str:
    """SHA-256 of a file; of a folder, over the names and hashes of all files in it."""
    if not path.is_dir():
        return sha256_file(path)
    listed = "".join(f"{digest}  {name}\n" for name, digest in file_hashes(path).items())
    return hashlib.sha256(listed.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Quantization:
    """Per-tensor affine quantization: ``real = (stored - zero_point) * scale``."""

    scale: float
    zero_point: int

    def quantize(self, real: Array, dtype: np.dtype[Any]) -> Array:
        """Round to the nearest step (ties to even) and saturate to ``dtype``."""
        info = np.iinfo(dtype)
        steps = np.divide(real, np.float32(self.scale), dtype=np.float32)
        np.rint(steps, out=steps)
        steps += np.float32(self.zero_point)
        np.clip(steps, info.min, info.max, out=steps)
        return steps.astype(dtype)

    def dequantize(self, stored: Array) -> Array:
        """Stored integers as float32 values in real units."""
        real = stored.astype(np.float32)
        real -= np.float32(self.zero_point)
        real *= np.float32(self.scale)
        return real


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named tensor: ``shape`` with the batch axis, ``dtype`` as NumPy spells it.

    ``name`` is the tensor's own name in its file (an ONNX value name, a flatbuffer tensor name).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def describe(self) -> str:
        """``name float32[1,3,224,224]``, the way messages show a tensor."""
        return f"{self.name} {self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Binding:
    """How one tensor of the source model appears in the artifact.

    Axis ``k`` of the artifact's tensor is axis ``permutation[k]`` of the source's (NCHW to NHWC is
    ``(0, 2, 3, 1)``). ``signature_name`` is the name an app uses in the artifact's signature.
    """

    source: TensorSpec
    artifact: TensorSpec
    permutation: tuple[int, ...]
    signature_name: str

    def __post_init__(self) -> None:
        if sorted(self.permutation) != list(range(len(self.source.shape))):
            raise ArtifactError(
                f"{self.source.describe()}: {self.permutation} is not a permutation of its axes"
            )
        if tuple(self.source.shape[axis] for axis in self.permutation) != self.artifact.shape:
            raise ArtifactError(
                f"{self.source.describe()} under axes {self.permutation} is not "
                f"{self.artifact.describe()}"
            )

    @property
    def permuted(self) -> bool:
        return self.permutation != tuple(range(len(self.permutation)))

    def encode(self, value: Array) -> Array:
        """A source-layout array as the artifact takes it: transposed, then quantized.

        Raises `ArtifactError` when the shape is not the source's.
        """
        if value.shape != self.source.shape:
            raise ArtifactError(
                f"input {self.source.describe()} got an array of shape {list(value.shape)}"
            )
        if self.permuted:
            value = np.transpose(value, self.permutation)
        if self.artifact.quantization is not None:
            value = self.artifact.quantization.quantize(value, self.artifact.numpy_dtype)
        return np.ascontiguousarray(value, dtype=self.artifact.numpy_dtype)

    def to_source_layout(self, stored: Array) -> Array:
        """An artifact-layout array (or a stack of them, samples first) in the source's layout."""
        if not self.permuted:
            return stored
        inverse = np.argsort(self.permutation)
        extra = stored.ndim - len(self.permutation)
        return np.transpose(stored, (*range(extra), *(int(axis) + extra for axis in inverse)))


@dataclass(frozen=True, slots=True)
class Artifact:
    """One deployable ``.tflite`` file, checked, with the mapping to its source model.

    ``kinds`` are its operators, each named once.
    """

    path: Path
    sha256: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    signature: str | None
    operators: int
    kinds: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise ArtifactError(f"{self.path}: an artifact needs inputs and outputs")

    @property
    def quantized(self) -> bool:
        """Whether any of its inputs or outputs is stored as quantized integers."""
        return any(b.artifact.quantization for b in (*self.inputs, *self.outputs))
