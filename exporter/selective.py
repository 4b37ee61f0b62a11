"""int8 but for some layers, which stay in float32. Imported by the child process only.

The converter measures the ranges once; what is quantized of it is then chosen again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

# What tf.lite.experimental.QuantizationDebugger calls, which can only make models that take and
# give floats, and quantizes everything twice.
from tensorflow.lite.python.convert import mlir_quantize

from exporter import quantize
from exporter.artifact import Array
from exporter.errors import ConversionError


def calibrated(saved_model: Path, calibration: Mapping[str, Array]) -> bytes:
    """A float model with the ranges of the representative dataset in it.

    ``calibration`` is as `quantize.to_int8` takes it. Raises `ConversionError`.
    """
    converter = quantize.int8_converter(
        saved_model, calibration, tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    )
    converter._experimental_calibrate_only = True
    return quantize.convert(converter)


def keeping(model: bytes, names: Sequence[str]) -> bytes:
    """The int8 model of a calibrated one with the operators that make ``names`` in float32.

    Where the quantizer does not part an operator from its neighbours it is quantized all the same.
    Raises `ConversionError`.
    """
    try:
        return bytes(
            mlir_quantize(
                model,
                fully_quantize=True,
                input_data_type=tf.int8,
                output_data_type=tf.int8,
                denylisted_nodes=list(names),
            )
        )
    except Exception as error:
        raise ConversionError(f"the quantizer refused to keep layers in float: {error}") from error
