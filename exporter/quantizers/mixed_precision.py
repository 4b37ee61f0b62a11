"""int8 but for some layers, which stay in float32. Imported by the child process only.

The converter measures the ranges once; what is quantized of it is then chosen again and again.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import tensorflow as tf

# What tf.lite.experimental.QuantizationDebugger calls, which can only make models that take and
# give floats, and quantizes everything twice.
from tensorflow.lite.python.convert import mlir_quantize

from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers import calibration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array


def calibrated(saved_model: Path, arrays: Mapping[str, Array]) -> bytes:
    """A float model with the ranges of the representative dataset in it.

    ``arrays`` maps signature names to arrays [N, *shape]. Raises `ConversionError`.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = functools.partial(calibration.samples, arrays)
    converter._experimental_calibrate_only = True
    try:
        return bytes(converter.convert())
    except Exception as error:
        raise ConversionError(f"the converter cannot measure ranges: {error}") from error


def keeping(
    model: bytes,
    layers: Sequence[str],
    operators: Sequence[str] = (),
    *,
    float_io: bool = False,
    per_channel: bool = True,
) -> bytes:
    """The int8 model of a calibrated one with some operators in float32.

    ``layers`` are the names of the tensors they make, ``operators`` their kinds; the others as in
    `devdiff.exporter.recipe.Recipe`. Where the quantizer does not part an operator from its
    neighbours it is quantized all the same. Raises `ConversionError`.
    """
    stored = tf.float32 if float_io else tf.int8
    try:
        return bytes(
            mlir_quantize(
                model,
                disable_per_channel=not per_channel,
                fully_quantize=True,
                input_data_type=stored,
                output_data_type=stored,
                denylisted_ops=list(operators) or None,
                denylisted_nodes=list(layers) or None,
            )
        )
    except Exception as error:
        raise ConversionError(f"the quantizer refused to keep layers in float: {error}") from error
