"""Integers from a float32 .tflite and a representative dataset. Imported by the child process only.

TensorFlow's converter does the same behind a second conversion of the source. Made of the float32
artifact it comes out the same to the byte, is done sooner, and there are two copies of the weights
at a time instead of ten.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import tensorflow as tf
from tensorflow.lite.python import conversion_metadata_schema_py_generated as metadata_schema

# What the converter and tf.lite.experimental.QuantizationDebugger call; the latter can only make
# models that take and give floats, and quantizes everything twice.
from tensorflow.lite.python.convert import deduplicate_readonly_buffers, mlir_quantize
from tensorflow.lite.python.optimize import calibrator
from tensorflow.lite.python.util import (
    get_model_hash,
    modify_model_io_type,
    populate_conversion_metadata,
)
from tensorflow.lite.tools import flatbuffer_utils

from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers import calibration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.recipe import Recipe

_METADATA: Final = b"CONVERSION_METADATA"
_MODES: Final = metadata_schema.ModelOptimizationMode


def calibrated(floating: Path, arrays: Mapping[str, Array]) -> bytes:
    """The model in ``floating`` with the ranges of its tensors over the representative dataset.

    ``arrays`` maps signature names to arrays [N, *shape]. Raises `ConversionError`.
    """
    try:
        return bytes(
            _calibrator(floating).calibrate(functools.partial(calibration.samples, arrays))
        )
    except Exception as error:
        raise ConversionError(f"the converter cannot measure ranges: {error}") from error


def int8(
    model: bytes,
    *,
    float_io: bool,
    per_channel: bool,
    layers: Sequence[str] = (),
    operators: Sequence[str] = (),
) -> bytes:
    """The int8 model of a `calibrated` one, some of its operators in float32.

    ``layers`` are the names of the tensors they make, ``operators`` their kinds; the others as in
    `devdiff.exporter.recipe.Recipe`. Where the quantizer does not part an operator from its
    neighbours it is quantized all the same. Raises `ConversionError`.
    """
    stored = tf.float32 if float_io else tf.int8
    keeping = bool(layers or operators)
    try:
        made = bytes(
            mlir_quantize(
                model,
                disable_per_channel=not per_channel,
                fully_quantize=keeping,
                input_data_type=stored,
                output_data_type=stored,
                denylisted_ops=list(operators) or None,
                denylisted_nodes=list(layers) or None,
            )
        )
    except Exception as error:
        what = "to keep layers in float" if keeping else "the model"
        raise ConversionError(f"the quantizer refused {what}: {error}") from error
    return _finished(made, _MODES.PTQ_FULL_INTEGER)


def int16x8(floating: Path, recipe: Recipe, arrays: Mapping[str, Array], *, strict: bool) -> bytes:
    """The model with activations of 16 bits; operators without such a kernel are refused if
    ``strict``, or else stay in float32. Raises `ConversionError`."""
    stored = tf.float32 if recipe.float_io else tf.int16
    try:
        made = _calibrator(floating).calibrate_and_quantize(
            functools.partial(calibration.samples, arrays),
            stored,
            stored,
            not strict,
            tf.int16,
            tf.int64,
            disable_per_channel=not recipe.per_channel,
        )
        return _finished(modify_model_io_type(made, stored, stored), _MODES.PTQ_INT16)
    except Exception as error:
        raise ConversionError(f"the quantizer refused the model: {error}") from error


def _calibrator(floating: Path) -> Any:
    return calibrator.Calibrator(calibrator.add_intermediate_tensors(floating.read_bytes()))


def _finished(made: bytes, mode: int) -> bytes:
    """Equal constants once, and in the model's own description what was done to it."""
    model = flatbuffer_utils.convert_bytearray_to_object(deduplicate_readonly_buffers(made))
    for entry in model.metadata or []:
        if entry.name == _METADATA:
            data = bytes(model.buffers[entry.buffer].data)
            described = metadata_schema.ConversionMetadataT.InitFromPackedBuf(data, 0)
            described.options.modelOptimizationModes = [mode]
            described.environment.modelHash = get_model_hash(model)
            model = populate_conversion_metadata(model, described)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
