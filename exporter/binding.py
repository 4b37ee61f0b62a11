"""Pairing a finished .tflite with the source model it is said to come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from devdiff.exporter.artifact import Binding, TensorSpec
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import ArtifactRecord, SourceModel


def match_to_source(record: ArtifactRecord, source: SourceModel) -> ArtifactRecord:
    """``record`` with its tensors bound to the source's names and layout.

    Tensors are paired by name where all names match, else by order; the layout follows from the
    shapes. Raises `ArtifactError` with both sides when they cannot belong together.
    """
    return replace(
        record,
        inputs=_match(source.inputs, record.inputs, "input"),
        outputs=_match(source.outputs, record.outputs, "output"),
    )


def _key(name: str) -> str:
    bare = re.sub(r"^serving_default_", "", name).split(":")[0]
    return re.sub(r"\W", "_", bare).lower()


def _match(
    wanted: Sequence[TensorSpec], stored: Sequence[Binding], role: str
) -> tuple[Binding, ...]:
    if len(wanted) != len(stored):
        raise ArtifactError(
            f"the source model has {len(wanted)} {role}s, the artifact {len(stored)}: "
            "they are not the same model"
        )
    by_key = {_key(binding.source.name): binding for binding in stored}
    by_name = len(by_key) == len(stored) and all(_key(spec.name) in by_key for spec in wanted)
    pairs = [
        (spec, by_key[_key(spec.name)] if by_name else stored[position])
        for position, spec in enumerate(wanted)
    ]
    return tuple(_bind(spec, binding, role) for spec, binding in pairs)


def _bind(spec: TensorSpec, binding: Binding, role: str) -> Binding:
    shape = binding.artifact.shape
    rank = len(shape)
    layouts = [tuple(range(rank))]
    if rank >= 3:
        layouts += [(0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))]
    if len(spec.shape) == rank:
        for layout in layouts:
            dims = [spec.shape[axis] for axis in layout]
            if all(dim in (-1, size) for dim, size in zip(dims, shape, strict=True)):
                known = [0] * rank
                for position, axis in enumerate(layout):
                    known[axis] = shape[position]
                source = TensorSpec(spec.name, tuple(known), spec.dtype)
                return Binding(source, binding.artifact, layout, binding.signature_name)
    raise ArtifactError(
        f"{role} {spec.describe()} of the source model does not fit {binding.artifact.describe()} "
        "of the artifact in either layout: they are not the same model"
    )
