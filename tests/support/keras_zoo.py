"""Small Keras models and SavedModels, each awkward in its own way; ``make`` writes all of them.

Run in a process of its own (``python -m tests.support.keras_zoo FOLDER``): TensorFlow prints,
warns, and imports slowly.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "1"}

import h5py
import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import layers

if TYPE_CHECKING:
    from collections.abc import Callable


def convolutions(package: Any) -> Any:
    """``image`` [N, 16, 16, 3] to five ``scores``, through a batch norm."""
    own = package.layers
    image = package.Input((16, 16, 3), name="image")
    value = own.Conv2D(8, 3, padding="same", activation="relu")(image)
    value = own.BatchNormalization()(value)
    value = own.GlobalAveragePooling2D()(value)
    scores = own.Dense(5, activation="softmax", name="scores")(value)
    return package.Model(image, scores)


def lookup() -> Any:
    """Integer ``ids`` [N, 6] below 11 and ``extra`` [N, 4]; outputs ``left`` and ``right``."""
    ids, extra = keras.Input((6,), dtype="int32", name="ids"), keras.Input((4,), name="extra")
    mean = layers.GlobalAveragePooling1D()(layers.Embedding(11, 8)(ids))
    both = layers.Concatenate()([mean, extra])
    return keras.Model(
        [ids, extra],
        {"left": layers.Dense(3, name="left")(both), "right": layers.Dense(2, name="right")(both)},
    )


def recurrent(package: Any, steps: int = 6, stateful: bool = False) -> Any:
    """``sequence`` [1, steps, 4] through an LSTM to two numbers."""
    own = package.layers
    sequence = package.Input((steps, 4), batch_size=1, name="sequence")
    return package.Model(
        sequence, own.Dense(2, name="numbers")(own.LSTM(5, stateful=stateful)(sequence))
    )


class Functions(tf.Module):  # type: ignore[misc]
    """Two signatures, one of them with a loop and a branch; and what no phone may run."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.scale = tf.Variable([[1.0, 2.0]])
        self.count = tf.Variable(0.0)
        self.folder = str(folder)

    def encode(self, x: Any) -> Any:
        return {"code": x * self.scale}

    def decode(self, x: Any) -> Any:
        step = tf.constant(0)
        while step < 3:
            x = x + self.scale
            step += 1
        if tf.reduce_sum(x) > 18:
            x = x * 2
        return {"out": x}

    def counting(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return {"out": x + self.count}

    def dicing(self, x: Any) -> Any:
        return {"out": x + tf.random.normal([1, 2])}

    def writing(self, x: Any) -> Any:
        tf.io.write_file(f"{self.folder}/planted", "written")
        return {"out": x}

    def wide(self, x: Any) -> Any:
        return {"out": tf.linalg.matmul(x, x, transpose_a=True) + tf.linalg.det(tf.eye(2))}


def make(folder: Path) -> None:
    """Write every model into ``folder``; ``planted`` there exists if one of them ran its code."""
    keras.utils.set_random_seed(0)
    convolutions(keras).save(folder / "convolutions.keras")
    convolutions(keras).save_weights(folder / "only.weights.h5")
    convolutions(tf_keras).save(folder / "older.h5")
    convolutions(keras).export(folder / "exported", verbose=False)
    lookup().save(folder / "lookup.keras")
    recurrent(keras).save(folder / "recurrent.keras")
    recurrent(tf_keras).save(folder / "older-recurrent.keras")
    recurrent(keras, steps=300).save(folder / "long.keras")
    recurrent(keras, stateful=True).save(folder / "stateful.keras")
    image = keras.Input((None, None, 3), name="image")
    pooled = layers.GlobalAveragePooling2D(name="means")(layers.Conv2D(4, 3)(image))
    keras.Model(image, pooled).save(folder / "any-size.keras")
    x = keras.Input((4,), name="x")
    doubled = keras.Model(x, layers.Lambda(lambda value: value * 2, name="twice")(x))
    doubled.save(folder / "lambda.keras")
    doubled.save(folder / "lambda.h5")
    functions = Functions(folder)

    def traced(method: Callable[..., Any]) -> Any:
        return tf.function(method).get_concrete_function(
            tf.TensorSpec([None, 2], tf.float32, name="x")
        )

    signatures = {"encode": traced(functions.encode), "decode": traced(functions.decode)}
    tf.saved_model.save(functions, str(folder / "two"), signatures=signatures)
    tf.saved_model.save(functions, str(folder / "none"), signatures={})
    for name in ("counting", "dicing", "writing"):
        method = traced(getattr(functions, name))
        tf.saved_model.save(functions, str(folder / name), signatures=method)
    _spoil(folder, "planted.keras", '"relu"', json.dumps(_named("os", "system")))
    _spoil(folder, "planted-class.keras", '"module": "keras.layers"', '"module": "antigravity"')
    with h5py.File(folder / "elsewhere.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file["weights"] = h5py.ExternalLink("/etc/hostname", "/")
    with h5py.File(folder / "plain.h5", "w") as file:
        file["data"] = np.zeros(3)
    with h5py.File(folder / "bomb.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file.create_dataset("weights", (1 << 20, 1 << 12), "f4", chunks=True)


def _named(module: str, function: str) -> dict[str, str]:
    return {"module": module, "class_name": "function", "config": function, "registered_name": "f"}


def _spoil(folder: Path, name: str, old: str, new: str) -> None:
    """The first model under another name, with its description changed."""
    with (
        zipfile.ZipFile(folder / "convolutions.keras") as whole,
        zipfile.ZipFile(folder / name, "w") as spoilt,
    ):
        for info in whole.infolist():
            data = whole.read(info)
            if info.filename == "config.json":
                assert old.encode() in data
                data = data.replace(old.encode(), new.encode(), 1)
            spoilt.writestr(info.filename, data)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    make(Path(sys.argv[1]))
