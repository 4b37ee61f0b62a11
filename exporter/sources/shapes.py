"""Inputs as the ladder runs them: static shapes, and types that a phone's runtime takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.exporter.artifact import TensorSpec
from devdiff.exporter.errors import SourceModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_INPUT_DTYPES: Final = ("float32", "int32", "int64", "uint8", "int8", "bool")


def check_names(shapes: Mapping[str, object], known: Iterable[str]) -> None:
    """Raises `SourceModelError` when ``--shape`` names an input the model does not have."""
    names = sorted(known)
    for name in shapes:
        if name not in names:
            raise SourceModelError(
                f"--shape names input {name!r}, the model has {', '.join(names)}"
            )


def input_spec(
    name: str, dims: Sequence[int | str], dtype: str, chosen: tuple[int, ...] | None
) -> TensorSpec:
    """An input with every axis fixed: a free batch at 1, others as ``chosen`` by the user.

    ``dims`` holds sizes, and names (or ``?``) of dynamic axes. Raises `SourceModelError` when a
    choice is missing or does not fit, or the dtype is none that a phone's runtime takes.
    """
    if dtype not in _INPUT_DTYPES:
        raise SourceModelError(
            f"input {name!r} is {dtype}; devdiff takes {', '.join(_INPUT_DTYPES)}: "
            "export the model again with float32 inputs"
            + (" (keep_io_types=True in a float16 converter)" if dtype == "float16" else "")
        )
    return TensorSpec(name, tuple(_fixed_shape(name, dims, chosen)), dtype)


def _fixed_shape(name: str, dims: Sequence[int | str], chosen: tuple[int, ...] | None) -> list[int]:
    """Static dimensions, or a `SourceModelError` that asks for ``--shape``."""
    shown = f"{name}[{','.join(map(str, dims))}]"
    if chosen is not None:
        fits = len(chosen) == len(dims) and all(
            have == want for have, want in zip(dims, chosen, strict=False) if isinstance(have, int)
        )
        if not fits or any(size < 1 for size in chosen):
            raise SourceModelError(
                f"--shape {name}:{','.join(map(str, chosen))} does not fit the model's {shown}"
            )
        return list(chosen)
    free = [axis for axis, size in enumerate(dims) if not isinstance(size, int)]
    if free and free != [0]:
        example = ",".join(
            str(s) if isinstance(s, int) else ("1" if a == 0 else "224") for a, s in enumerate(dims)
        )
        raise SourceModelError(
            f"input {shown} has dynamic axes: choose them, for example --shape {name}:{example}"
        )
    return [1 if axis in free else int(size) for axis, size in enumerate(dims)]
