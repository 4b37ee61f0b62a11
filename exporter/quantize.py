"""A TensorFlow function to .tflite files: float32 and int8. Imported by the child process only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from exporter.artifact import Array
from exporter.convert import Converted
from exporter.errors import ConversionError

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
    model = converted.keras_model

    def call(*values: Any) -> dict[str, Any]:
        arranged = [values[place] for place in converted.keras_order]
        results = model(arranged if len(arranged) > 1 else arranged[0])
        if not isinstance(results, list | tuple):
            results = [results]
        # An output that is an input, or stands twice, would fold into one tensor of one name.
        return {name: tf.identity(value) for name, value in zip(output_names, results, strict=True)}

    function = tf.function(call, autograph=False).get_concrete_function(*specs)
    module = tf.Module()
    module.tracked = list(function.graph.variables)
    tf.saved_model.save(module, str(folder), signatures=function)


def to_float32(saved_model: Path) -> bytes:
    """The float32 artifact's bytes. Raises `ConversionError` naming what has no builtin kernel."""
    return _convert(tf.lite.TFLiteConverter.from_saved_model(str(saved_model)))


def to_int8(saved_model: Path, calibration: Mapping[str, Array]) -> tuple[bytes, tuple[str, ...]]:
    """The full-integer int8 artifact's bytes, and notes on what could not be integer.

    ``calibration`` maps signature names to arrays [N, *shape]: the representative dataset.
    Raises `ConversionError` when the converter refuses the model altogether.
    """

    def samples() -> Iterator[dict[str, Array]]:
        count = len(next(iter(calibration.values())))
        for index in range(count):
            yield {name: np.array(values[index]) for name, values in calibration.items()}

    def converter(*operator_sets: Any) -> Any:
        made = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
        made.optimizations = [tf.lite.Optimize.DEFAULT]
        made.representative_dataset = samples
        made.target_spec.supported_ops = list(operator_sets)
        made.inference_input_type = tf.int8
        made.inference_output_type = tf.int8
        return made

    try:
        return _convert(converter(tf.lite.OpsSet.TFLITE_BUILTINS_INT8)), ()
    except ConversionError as error:
        strict = str(error)
    relaxed = converter(tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS)
    return _convert(relaxed), (
        f"not full-integer: some operators have no int8 kernel and stay in float32 ({strict})",
    )


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
