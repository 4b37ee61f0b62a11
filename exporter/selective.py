"""int8 but for some layers, which stay in float32. Imported by the child process only.

The converter measures the ranges once; what is quantized of it is then chosen again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

# What tf.lite.experimental.QuantizationDebugger calls, which can only make models that take and
# give floats, and quantizes everything twice.
from tensorflow.lite.python.convert import mlir_quantize

from exporter.artifact import Array
from exporter.errors import ConversionError


def calibrated(saved_model: Path, calibration: Mapping[str, Array]) -> bytes:
    """A float model with the ranges of the representative dataset in it.

    ``calibration`` maps signature names to arrays [N, *shape]. Raises `ConversionError`.
    """

    def samples() -> Iterator[dict[str, Array]]:
        for index in range(len(next(iter(calibration.values())))):
            yield {name: np.array(values[index]) for name, values in calibration.items()}

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter._experimental_calibrate_only = True
    try:
        return bytes(converter.convert())
    except Exception as error:
        raise ConversionError(f"the converter cannot measure ranges: {error}") from error


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
