"""What a function answers on one sample, kept for what is made of it. For child processes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.exporter.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.exporter.converters.tf_function_io import Converted

_FILE: Final = "answers.npz"
# What the order of additions may change, beside the largest of an output's values.
_TOLERANCE: Final = 1e-3


def keep(converted: Converted, inputs: Sequence[str], outputs: Sequence[str], folder: Path) -> None:
    """Run the function on a seeded sample, zeros for integers, and leave both in ``folder``."""
    assert converted.call is not None
    random = np.random.default_rng(0)
    values = [
        random.standard_normal(spec.shape, np.float32).astype(spec.dtype)
        if spec.dtype.startswith("float")
        else np.zeros(spec.shape, spec.dtype)
        for spec in converted.inputs
    ]
    results = [np.asarray(value) for value in converted.call(*values)]
    given = {f"in {name}": value for name, value in zip(inputs, values, strict=True)}
    wanted = {f"out {name}": value for name, value in zip(outputs, results, strict=True)}
    np.savez(folder / _FILE, **given, **wanted)


def check(folder: Path, artifact: Path) -> None:
    """Raises `ConversionError` when the float32 ``artifact`` answers otherwise."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # XNNPACK copies the weights
    with np.load(folder / _FILE) as kept:
        given = {name[3:]: kept[name] for name in kept.files if name.startswith("in ")}
        try:
            interpreter = Interpreter(str(artifact), experimental_op_resolver_type=kernels)
            (signature,) = interpreter.get_signature_list()
            found = interpreter.get_signature_runner(signature)(**given)
        except (ValueError, RuntimeError) as error:
            raise ConversionError(f"it does not run: {error}") from error
        for name, value in found.items():
            off = _error(kept[f"out {name}"], np.asarray(value))
            if not off <= _TOLERANCE:
                raise ConversionError(f"output {name} is off by {off:.2g} of its largest value")


def _error(wanted: Any, found: Any) -> float:
    if wanted.shape != found.shape:
        return float("inf")
    left, right = wanted.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(left)
    if (finite != np.isfinite(right)).any():
        return float("inf")
    if not finite.any():
        return 0.0
    largest = float(np.abs(left[finite]).max())
    return float(np.abs(left - right)[finite].max()) / (largest or 1.0)
