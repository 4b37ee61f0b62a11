"""The ranges of a float32 .tflite over a representative dataset. For child processes only.

TensorFlow's converter does the same behind a second conversion of the source. Made of the float32
artifact the same comes out, sooner, and with few copies of the weights instead of many.
"""

from __future__ import annotations

import functools
import mmap
from typing import TYPE_CHECKING, Any, Final

import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.optimize import calibrator
from tensorflow.lite.python.util import modify_model_io_type

from devdiff.exporter import apart, tflite_constants
from devdiff.exporter.errors import ConversionError
from devdiff.exporter.quantizers import calibration, int8_weights
from devdiff.exporter.quantizers.finish import finish
from devdiff.exporter.tflite_file import operator_name, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.recipe import Recipe

# They compute what has a range inside of themselves.
_FUSED: Final = {"LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"}


def calibrate(
    floating: Path, arrays: Mapping[str, Array], out: Path, weights: bool = False
) -> None:
    """Write to ``out`` the model in ``floating`` with the ranges of its tensors over the
    representative dataset.

    ``arrays`` maps signature names to arrays [N, *shape]. With ``weights``, large ones are int8
    already, with a scale a channel. Raises `ConversionError`.
    """
    data: Any = tflite_constants.mapped(floating)
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    if _FUSED & {operator_name(code) for code in model.operatorCodes}:
        data = calibrator.add_intermediate_tensors(data[:])
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    constants = tflite_constants.large(model)
    measured = _measured(model, constants, data, arrays)
    apart.give_back()
    _take_ranges(model, schema.ModelT.InitFromPackedBuf(measured, 0), constants)
    if weights:
        constants = int8_weights.put_in(model, constants)
    tflite_constants.write(model, constants, out)


def _measured(
    model: Any, constants: Mapping[int, Array], data: Any, arrays: Mapping[str, Array]
) -> bytes:
    """The model with ranges; its ``constants``, which lie in ``data``, are left out."""
    try:
        measuring = calibrator.Calibrator(tflite_constants.behind(model, constants))
        if isinstance(data, mmap.mmap):
            data.madvise(mmap.MADV_DONTNEED)  # it was copied; what is read again comes again
        return bytes(measuring.calibrate(functools.partial(_samples, model, arrays)))
    except Exception as error:
        raise ConversionError(f"the converter cannot measure ranges: {error}") from error


def _take_ranges(model: Any, measured: Any, constants: Mapping[int, Array]) -> None:
    """The ranges that were ``measured``, but for those of large constants, which seem computed
    where they lie behind the flatbuffer."""
    for graph, found in zip(model.subgraphs, measured.subgraphs, strict=True):
        for tensor, other in zip(graph.tensors, found.tensors, strict=True):
            if tensor.buffer not in constants:
                tensor.quantization = other.quantization


def int16x8(floating: Path, recipe: Recipe, arrays: Mapping[str, Array], *, strict: bool) -> bytes:
    """The model with activations of 16 bits; operators without such a kernel are refused if
    ``strict``, or else stay in float32. Raises `ConversionError`."""
    stored = tf.float32 if recipe.float_io else tf.int16
    data = calibrator.add_intermediate_tensors(floating.read_bytes())
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    try:
        made = calibrator.Calibrator(data).calibrate_and_quantize(
            functools.partial(_samples, model, arrays),
            stored,
            stored,
            not strict,
            tf.int16,
            tf.int64,
            disable_per_channel=not recipe.per_channel,
        )
        return finish(modify_model_io_type(made, stored, stored), "PTQ_INT16")
    except Exception as error:
        raise ConversionError(f"the quantizer refused the model: {error}") from error


def _samples(model: Any, arrays: Mapping[str, Array]) -> Iterator[list[Array]]:
    """The representative dataset in the order of the model's inputs."""
    (signature,) = model.signatureDefs
    names = [
        text(tensor.name)
        for tensor in sorted(signature.inputs, key=lambda tensor: tensor.tensorIndex)
    ]
    for sample in calibration.samples(arrays):
        yield [sample[name] for name in names]
