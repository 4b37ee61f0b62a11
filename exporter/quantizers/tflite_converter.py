"""A TensorFlow function to .tflite files. Imported by the child process only."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers import calibration
from devdiff.exporter.quantizers.quantizer import Quantized

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.converters.tf_function_io import Converted
    from devdiff.exporter.quantizers.quantizer import FloatModel
    from devdiff.exporter.recipe import Recipe


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


def quantize(model: FloatModel, recipe: Recipe, arrays: Mapping[str, Array]) -> Quantized:
    """See `devdiff.exporter.quantizers.quantizer.Quantizer`."""
    if not (recipe.keep_layers or recipe.keep_operators):
        return _quantized(model.saved_model, recipe, arrays)
    from devdiff.exporter.quantizers import mixed_precision

    return Quantized(
        mixed_precision.keeping(
            mixed_precision.calibrated(model.saved_model, arrays),
            recipe.keep_layers,
            recipe.keep_operators,
            float_io=recipe.float_io,
            per_channel=recipe.per_channel,
        )
    )


def _quantized(saved_model: Path, recipe: Recipe, arrays: Mapping[str, Array]) -> Quantized:
    made = _converter(saved_model, recipe, arrays)
    if not recipe.calibrated:
        return Quantized(_convert(made))
    integers = (
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        if recipe.precision == "int8"
        else tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    )
    made.target_spec.supported_ops = [integers]
    try:
        return Quantized(_convert(made))
    except ConversionError as error:
        strict = str(error)
    relaxed = _converter(saved_model, recipe, arrays)
    relaxed.target_spec.supported_ops = [integers, tf.lite.OpsSet.TFLITE_BUILTINS]
    note = (
        f"not full-integer: some operators have no {recipe.precision} kernel and stay in float32 "
        f"({strict})"
    )
    return Quantized(_convert(relaxed), (note,))


def _converter(saved_model: Path, recipe: Recipe, arrays: Mapping[str, Array]) -> Any:
    made = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.precision == "float16":
        made.target_spec.supported_types = [tf.float16]
    if not recipe.calibrated:
        return made
    made.representative_dataset = functools.partial(calibration.samples, arrays)
    # There is no public switch for weights with one scale a tensor.
    made._experimental_disable_per_channel = not recipe.per_channel
    if not recipe.float_io:
        integer = tf.int8 if recipe.precision == "int8" else tf.int16
        made.inference_input_type = made.inference_output_type = integer
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
