"""A TensorFlow function to .tflite files. Imported by the child process only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import tensorflow as tf

from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers import float_check

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.converters.tf_function_io import Converted
    from devdiff.exporter.recipe import Recipe

SIGNATURE: Final = "serving_default"


def signature_names(names: list[str]) -> list[str]:
    """Names a TensorFlow signature accepts, as near to the source's as possible, all different."""
    taken: set[str] = set()
    result = []
    for name in names:
        safe = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        if not re.match(r"[A-Za-z]", safe):
            safe = f"t_{safe}"
        candidate, number = safe, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{safe}_{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def save_function(
    converted: Converted, input_names: list[str], output_names: list[str], folder: Path
) -> None:
    """Write the converted model as a SavedModel with one signature.

    A plain `tf.Module` tracking only the variables is written, since Keras' own SavedModel spends
    nearly all of its time on metadata that the converter does not read.
    """
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=name)
        for spec, name in zip(converted.inputs, input_names, strict=True)
    ]

    def call(*values: Any) -> dict[str, Any]:
        assert converted.call is not None
        results = converted.call(*values)
        # An output that is an input, or stands twice, would fold into one tensor of one name.
        return {name: tf.identity(value) for name, value in zip(output_names, results, strict=True)}

    function = tf.function(call, autograph=False).get_concrete_function(*specs)
    module = tf.Module()
    module.tracked = list(function.graph.variables)
    tf.saved_model.save(module, str(folder), signatures=function)


def to_float32(saved_model: Path) -> bytes:
    """The float32 artifact's bytes. Raises `ConversionError` naming what has no builtin kernel."""
    return _convert(tf.lite.TFLiteConverter.from_saved_model(str(saved_model)))


def compress(
    saved_model: Path, recipe: Recipe, arrays: Mapping[str, Array], floating: Path
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of the artifact that ``recipe`` makes, and notes on what it could not do.

    ``arrays`` maps signature names to arrays [N, *shape]: the representative dataset, empty
    where the recipe needs none. ``floating`` is the float32 artifact. Raises `ConversionError` when
    the quantizer refuses the model, `CompressionError` when it cannot do what the recipe says.
    """
    float_check.check(recipe, floating)
    made, notes = _made(saved_model, recipe, arrays, floating)
    float_check.check_made(recipe, floating, made)
    return made, notes


def _made(
    saved_model: Path, recipe: Recipe, arrays: Mapping[str, Array], floating: Path
) -> tuple[bytes, tuple[str, ...]]:
    if recipe.quantizer == "ai-edge":
        from devdiff.exporter.quantizers import ai_edge

        return ai_edge.quantize(floating, recipe, arrays), ()
    if not recipe.calibrated:
        return _convert(_converter(saved_model, recipe)), ()
    from devdiff.exporter.quantizers import calibrated

    if recipe.precision == "int8":
        model = calibrated.calibrated(floating, arrays)
        return calibrated.int8(
            model,
            float_io=recipe.float_io,
            per_channel=recipe.per_channel,
            layers=recipe.keep_layers,
            operators=recipe.keep_operators,
        ), ()
    try:
        return calibrated.int16x8(floating, recipe, arrays, strict=True), ()
    except ConversionError as error:
        reason = str(error)
    return calibrated.int16x8(floating, recipe, arrays, strict=False), (
        f"not full-integer: some operators have no {recipe.precision} kernel and stay in float32 "
        f"({reason})",
    )


def _converter(saved_model: Path, recipe: Recipe) -> Any:
    made = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.precision == "float16":
        made.target_spec.supported_types = [tf.float16]
    return made


def _convert(converter: Any) -> bytes:
    try:
        return bytes(converter.convert())
    except Exception as error:
        raise ConversionError(_reason(str(error))) from error


def _reason(message: str) -> str:
    """The one line of a converter error that names the operators."""
    flat = re.sub(r"\s+", " ", message)
    flex = re.search(r"Flex ops: ([\w, ]+)", flat)
    if flex:
        return (
            f"TensorFlow Lite has no builtin operator for {flex.group(1).strip()}; replace it in "
            "the source model"
        )
    quoted = re.findall(r"'(tf[l]?\.[\w.]+)' op", flat)
    named = f" at {', '.join(dict.fromkeys(quoted))}" if quoted else ""
    return f"the TensorFlow Lite converter refused the model{named}: {flat[:300]}"
