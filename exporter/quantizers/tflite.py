"""TensorFlow Lite's quantizer: integers from the float32 artifact, float16 from the SavedModel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers.quantizer import Quantized, has_ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.quantizers.quantizer import FloatModel
    from devdiff.exporter.recipe import Recipe


def quantize(model: FloatModel, recipe: Recipe, arrays: Mapping[str, Array]) -> Quantized:
    """See `devdiff.exporter.quantizers.quantizer.Quantizer`.

    Each way imports what it needs, so that a large model's process holds no more.
    """
    if not recipe.calibrated:
        from devdiff.exporter.quantizers import tflite_converter

        made = tflite_converter.without_ranges(model.saved_model, recipe, model.constants)
        return Quantized(made)
    if has_ranges(recipe):
        from devdiff.exporter.quantizers import int8

        return Quantized(
            int8.to_integers(
                model.ranges,
                float_io=recipe.float_io,
                per_channel=recipe.per_channel,
                layers=recipe.keep_layers,
                operators=recipe.keep_operators,
            )
        )
    from devdiff.exporter.quantizers import calibrated

    try:
        return Quantized(calibrated.int16x8(model.floating, recipe, arrays, strict=True))
    except ConversionError as error:
        reason = str(error)
    made = calibrated.int16x8(model.floating, recipe, arrays, strict=False)
    note = (
        f"not full-integer: some operators have no {recipe.precision} kernel and stay in float32 "
        f"({reason})"
    )
    return Quantized(made, (note,))
