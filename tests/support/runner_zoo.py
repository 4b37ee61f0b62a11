"""Writes the small models that the native runner is tested with; run as a child process.

Usage: ``python runner_zoo.py DIRECTORY``. The test process itself never imports TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

Function: TypeAlias = Any  # a concrete function; TensorFlow has no types to name it by


def classifier() -> Function:
    """Convolution, depthwise convolution, dense layer and softmax; fixed random weights."""
    generator = np.random.default_rng(7)

    def constant(*shape: int) -> Any:
        return tf.constant(generator.normal(0, 0.4, shape).astype(np.float32))

    kernel, depthwise = constant(3, 3, 3, 8), constant(3, 3, 8, 1)
    dense = constant(8 * 8 * 8, 10)

    def call(image: Any) -> dict[str, Any]:
        value = tf.nn.relu6(tf.nn.conv2d(image, kernel, 2, "SAME"))
        value = tf.nn.depthwise_conv2d(value, depthwise, [1, 1, 1, 1], "SAME")
        logits = tf.reshape(value, [1, 8 * 8 * 8]) @ dense / 8.0
        return {"probabilities": tf.nn.softmax(logits)}

    return traced(call, tf.TensorSpec([1, 16, 16, 3], tf.float32, "image"))


def order_trap() -> Function:
    """Inputs and outputs of one shape, named against every likely sorting order."""

    def call(zebra: Any, ant: Any) -> dict[str, Any]:
        return {"yak": zebra - 2.0 * ant, "bee": zebra * 3.0 + ant, "moth": zebra * ant}

    return traced(
        call,
        tf.TensorSpec([1, 6], tf.float32, "zebra"),
        tf.TensorSpec([1, 6], tf.float32, "ant"),
    )


def positives() -> Function:
    """The positions of the positive elements: an output whose shape depends on the data."""

    def call(values: Any) -> dict[str, Any]:
        return {"positions": tf.where(values > 0.0), "doubled": values * 2.0}

    return traced(call, tf.TensorSpec([8], tf.float32, "values"))


def any_length() -> Function:
    """A first axis without a fixed length."""

    def call(rows: Any) -> dict[str, Any]:
        return {"scaled": rows * 1.5 + 0.25}

    return traced(call, tf.TensorSpec([None, 4], tf.float32, "rows"))


def picky() -> Function:
    """Fails to run when an index is outside the table."""
    table = tf.constant(np.arange(12, dtype=np.float32).reshape(4, 3))

    def call(indices: Any) -> dict[str, Any]:
        return {"rows": tf.gather(table, indices)}

    return traced(call, tf.TensorSpec([2], tf.int32, "indices"))


def types() -> Function:
    """Element types that are neither float32 nor int8."""

    def call(wide: Any, flags: Any, octets: Any) -> dict[str, Any]:
        return {
            "wide_out": tf.reverse(wide, [0]),
            "flags_out": tf.logical_not(flags),
            "octets_out": tf.reverse(octets, [0]),
        }

    return traced(
        call,
        tf.TensorSpec([3], tf.int64, "wide"),
        tf.TensorSpec([5], tf.bool, "flags"),
        tf.TensorSpec([7], tf.uint8, "octets"),
    )


def traced(call: Callable[..., dict[str, Any]], *signature: Any) -> Function:
    return tf.function(call, input_signature=list(signature)).get_concrete_function()


def convert(function: Function, *, int8: bool = False, signature: bool = True) -> bytes:
    """The function as a TFLite flatbuffer, with or without a signature."""
    owner = [tf.Module()] if signature else []
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], *owner)
    if int8:
        generator = np.random.default_rng(11)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [generator.normal(0, 1, (1, 16, 16, 3)).astype(np.float32)] for _ in range(16)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    flatbuffer: bytes = converter.convert()
    return flatbuffer


def main(directory: Path) -> None:
    models = {
        "classifier_float": convert(classifier()),
        "classifier_int8": convert(classifier(), int8=True),
        "classifier_unsigned": convert(classifier(), signature=False),
        "order_trap": convert(order_trap()),
        "positives": convert(positives()),
        "any_length": convert(any_length()),
        "picky": convert(picky()),
        "types": convert(types()),
    }
    for name, flatbuffer in models.items():
        (directory / f"{name}.tflite").write_bytes(flatbuffer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
