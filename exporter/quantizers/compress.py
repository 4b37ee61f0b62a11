"""What a recipe makes of a converted model. For child processes only; it imports what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers import float_check
from devdiff.exporter.quantizers.finish import lean_tensorflow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.recipe import Recipe


def calibrate(
    recipe: Recipe, arrays: Mapping[str, Array], floating: Path, out: Path, lean: bool = False
) -> None:
    """Write the float32 artifact with its tensors' ranges to ``out``, for a recipe that needs it.

    ``lean`` spares the quantizer the large weights. Raises `ConversionError`.
    """
    float_check.check(recipe, floating)
    if _has_ranges(recipe):
        from devdiff.exporter.quantizers import calibrated

        kept = recipe.keep_layers or recipe.keep_operators
        weights = lean and recipe.per_channel and not kept
        calibrated.calibrate(floating, arrays, out, weights)


def _has_ranges(recipe: Recipe) -> bool:
    return recipe.quantizer == "tflite" and recipe.precision == "int8"


def compress(
    saved_model: Path,
    recipe: Recipe,
    arrays: Mapping[str, Array],
    floating: Path,
    ranges: Path,
    constants: Path | None = None,
    lean: bool = False,
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of the artifact that ``recipe`` makes, and notes on what it could not do.

    ``arrays`` maps signature names to arrays [N, *shape]: the representative dataset, empty
    where the recipe needs none. ``floating`` is the float32 artifact, ``ranges`` what `calibrate`
    made of it, ``constants`` the folder of what ``saved_model`` has stand-ins for. With ``lean``
    this process is used for nothing else. Raises `ConversionError` when the quantizer refuses the
    model, `CompressionError` when it cannot do what the recipe says.
    """
    float_check.check(recipe, floating)
    if lean and _has_ranges(recipe):
        lean_tensorflow()
    made, notes = _made(saved_model, recipe, arrays, floating, ranges, constants)
    float_check.check_made(recipe, floating, made)
    return made, notes


def _made(
    saved_model: Path,
    recipe: Recipe,
    arrays: Mapping[str, Array],
    floating: Path,
    ranges: Path,
    constants: Path | None,
) -> tuple[bytes, tuple[str, ...]]:
    if recipe.quantizer == "ai-edge":
        from devdiff.exporter.quantizers import ai_edge

        return ai_edge.quantize(floating, recipe, arrays), ()
    if not recipe.calibrated:
        from devdiff.exporter.quantizers import tflite_converter

        return tflite_converter.without_ranges(saved_model, recipe, constants), ()
    if _has_ranges(recipe):
        from devdiff.exporter.quantizers import int8

        return int8.quantize(
            ranges,
            float_io=recipe.float_io,
            per_channel=recipe.per_channel,
            layers=recipe.keep_layers,
            operators=recipe.keep_operators,
        ), ()
    from devdiff.exporter.quantizers import calibrated

    try:
        return calibrated.int16x8(floating, recipe, arrays, strict=True), ()
    except ConversionError as error:
        reason = str(error)
    return calibrated.int16x8(floating, recipe, arrays, strict=False), (
        f"not full-integer: some operators have no {recipe.precision} kernel and stay in float32 "
        f"({reason})",
    )
