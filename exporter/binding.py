"""Pairing a finished .tflite with the model it is said to come from, or to belong to.

Names and shapes say what is plausible, and often leave a choice (equal dimensions, renamed
tensors): `input_choices` and `output_choices` list what fits, for whoever can run both models.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from devdiff.exporter.artifact import Binding, TensorSpec
from devdiff.exporter.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devdiff.exporter.manifest import ArtifactRecord, SourceModel

MOST_CHOICES: Final = 48
_MOST_RANKED: Final = 2000
# Places of the usual layouts: as it is, channels last, channels first.
_USUAL: Final = 2
# Axes are tried in every order up to this rank.
_MOST_AXES: Final = 5


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


def match_to_artifact(record: ArtifactRecord, other: ArtifactRecord) -> ArtifactRecord:
    """``record`` with its tensors bound to the names and layout of ``other``'s, as to a source's.

    For the float32 file beside a compressed one: converters name their tensors differently.
    """
    return replace(
        record,
        inputs=_match([binding.source for binding in other.inputs], record.inputs, "input"),
        outputs=_match([binding.source for binding in other.outputs], record.outputs, "output"),
    )


def renamed(before: ArtifactRecord, after: ArtifactRecord) -> tuple[tuple[str, str], ...]:
    """The names that matching changed, old and new."""
    old = {
        binding.artifact.name: binding.source.name for binding in (*before.inputs, *before.outputs)
    }
    names = [
        (old[binding.artifact.name], binding.source.name)
        for binding in (*after.inputs, *after.outputs)
    ]
    return tuple((was, now) for was, now in names if _key(was) != _key(now))


def _key(name: str) -> str:
    bare = re.sub(r"^serving_default_", "", name).split(":")[0]
    return re.sub(r"\W", "_", bare).lower()


def paired_by_name(wanted: Sequence[TensorSpec], stored: Sequence[Binding]) -> bool:
    """Whether every source tensor finds one of its name in the artifact, and no two the same."""
    keys = {_key(binding.source.name) for binding in stored}
    names = {_key(spec.name) for spec in wanted}
    return len(keys) == len(stored) == len(names) == len(wanted) and keys == names


def input_choices(
    wanted: Sequence[TensorSpec], stored: Sequence[Binding]
) -> tuple[tuple[Binding, ...], ...]:
    """Ways to bind all of ``wanted`` to ``stored`` tensors, the most plausible first.

    At most `MOST_CHOICES`; none when they cannot belong together.
    """
    ranked: list[tuple[int, int, int, int, tuple[Binding, ...]]] = []
    for number, order in enumerate(_orders(wanted, stored)):
        each = [fitting(spec, stored[place]) for spec, place in zip(wanted, order, strict=True)]
        for chosen in itertools.islice(itertools.product(*each), _MOST_RANKED):
            ranked.append((*_oddity(chosen), number, len(ranked), chosen))
        if len(ranked) >= _MOST_RANKED:
            break
    ranked.sort(key=lambda entry: entry[:-1])
    return tuple(entry[-1] for entry in ranked[:MOST_CHOICES])


def _oddity(chosen: Sequence[Binding]) -> tuple[int, int]:
    """How many unusual layouts there are, and how many different ones."""
    places = [
        tuple(_layouts(len(binding.permutation))).index(binding.permutation) for binding in chosen
    ]
    return sum(place > _USUAL for place in places), len(set(places))


def output_choices(
    wanted: Sequence[TensorSpec], stored: Sequence[Binding]
) -> tuple[tuple[tuple[Binding, ...], ...], ...]:
    """For each of ``wanted`` and each of ``stored``, the axis orders under which they fit."""
    if paired_by_name(wanted, stored):
        return tuple(
            tuple(
                fitting(spec, binding) if _key(binding.source.name) == _key(spec.name) else ()
                for binding in stored
            )
            for spec in wanted
        )
    return tuple(tuple(fitting(spec, binding) for binding in stored) for spec in wanted)


def fitting(spec: TensorSpec, stored: Binding) -> tuple[Binding, ...]:
    """``spec`` bound to the stored tensor in every axis order that its shape allows.

    The usual layouts come first. Where a dynamic dimension would be another by the layout, only
    what agrees with the first one is there.
    """
    shape = stored.artifact.shape
    if len(spec.shape) != len(shape) or not _same_kind(spec, stored):
        return ()
    found: list[Binding] = []
    for layout in _layouts(len(shape)):
        dims = [spec.shape[axis] for axis in layout]
        if not all(dim in (-1, size) for dim, size in zip(dims, shape, strict=True)):
            continue
        known = [0] * len(shape)
        for position, axis in enumerate(layout):
            known[axis] = shape[position]
        source = TensorSpec(spec.name, tuple(known), spec.dtype)
        if not found or source == found[0].source:
            found.append(Binding(source, stored.artifact, layout, stored.signature_name))
    return tuple(found)


def _layouts(rank: int) -> Iterator[tuple[int, ...]]:
    """Axis orders with the batch axis in its place, the usual ones first."""
    usual = [tuple(range(rank))]
    if rank >= 3:
        usual += [(0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))]
    yield from dict.fromkeys(usual)
    if 3 < rank <= _MOST_AXES:
        for rest in itertools.permutations(range(1, rank)):
            if (0, *rest) not in usual:
                yield (0, *rest)


def _same_kind(spec: TensorSpec, stored: Binding) -> bool:
    """Whether values of the one can be values of the other: both real, or both whole numbers."""
    quantized = stored.artifact.quantization is not None
    kinds = ["f" if spec.numpy_dtype.kind == "f" else "i"]
    kinds.append("f" if quantized or stored.artifact.numpy_dtype.kind == "f" else "i")
    return kinds[0] == kinds[1]


def _orders(wanted: Sequence[TensorSpec], stored: Sequence[Binding]) -> Iterator[tuple[int, ...]]:
    """Which stored tensor each wanted one may be; those that share a name stay together."""
    if len(wanted) != len(stored):
        return
    by_key: dict[str, list[int]] = {}
    for place, binding in enumerate(stored):
        by_key.setdefault(_key(binding.source.name), []).append(place)
    fixed: dict[int, int] = {}
    for number, spec in enumerate(wanted):
        places = by_key.get(_key(spec.name), [])
        if len(places) == 1 and places[0] not in fixed.values():
            fixed[number] = places[0]
    free = [place for place in range(len(stored)) if place not in fixed.values()]
    for order in itertools.islice(itertools.permutations(free), 10 * MOST_CHOICES):
        rest = iter(order)
        yield tuple(
            fixed[number] if number in fixed else next(rest) for number in range(len(wanted))
        )


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
    plain = [_usual(spec, binding) for spec, binding in pairs]
    if all(plain):
        return tuple(fit for fit in plain if fit is not None)
    choices = input_choices(wanted, stored)
    if choices:
        return choices[0]
    spec, binding = next(pair for pair, fit in zip(pairs, plain, strict=True) if fit is None)
    raise ArtifactError(
        f"{role} {spec.describe()} of the source model does not fit {binding.artifact.describe()} "
        "of the artifact in any layout: they are not the same model"
    )


def _usual(spec: TensorSpec, binding: Binding) -> Binding | None:
    """``spec`` bound by its shape alone, whatever its type; None where no layout fits."""
    plain = replace(binding.artifact, dtype=spec.dtype, quantization=None)
    loose = Binding(plain, plain, tuple(range(len(plain.shape))), binding.signature_name)
    found = fitting(spec, loose)
    return replace(found[0], artifact=binding.artifact) if found else None
