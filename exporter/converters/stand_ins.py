"""Large constants kept out of TensorFlow's converter. Imported by the child process only.

The converter holds ten copies of all weights, and looks at the values of few of them. So each large
constant is converted as a stand-in, one number for all its elements, which costs nothing, and lies
in a file until the converter is done: then it takes the stand-in's place in the .tflite.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array

LARGE_BYTES: Final = 1 << 20
"""Constants of this many bytes have a stand-in."""
_RECORD: Final = "stand-ins.json"
# Far from every number that the converter folds (0, 1, -1), and different for each.
_FIRST: Final = np.float32(0.7310588)


@dataclass(frozen=True, slots=True)
class StandIn:
    """One large float32 constant; ``value`` is every element of its stand-in.

    ``file`` holds its elements in the order of ``shape``.
    """

    value: float
    shape: tuple[int, ...]
    file: Path

    def array(self) -> Array:
        """Its elements, read-only from the disk as they are asked for."""
        return np.memmap(self.file, np.float32, "r", shape=self.shape)


class StandIns:
    """Those of one function, written into ``folder`` as they are met."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[StandIn] = []
        self._tensors: dict[int, tuple[Any, Any]] = {}

    def watch(self, graph: Any) -> None:
        """Let the function graph that is being traced take stand-ins for large constants."""
        import tensorflow as tf
        from tensorflow.python.framework.ops import EagerTensor

        capture = graph.capture

        def captured(tensor: Any, name: Any = None, shape: Any = None) -> Any:
            real = isinstance(tensor, EagerTensor) and tensor.dtype == tf.float32
            if real and tensor.shape.num_elements() * 4 >= LARGE_BYTES:
                return self._stand_in(tensor, tf)
            return capture(tensor, name, shape)

        graph.capture = captured

    def _stand_in(self, tensor: Any, tf: Any) -> Any:
        if id(tensor) not in self._tensors:
            place = len(self._made)
            value = float(_FIRST + np.float32(place) * np.float32(2**-20))
            file = self.folder / f"constant-{place}.bin"
            tensor.numpy().tofile(file)
            self._made.append(StandIn(value, tuple(tensor.shape), file))
            # The tensor is kept, so that no other one gets its id.
            self._tensors[id(tensor)] = tensor, tf.constant(value, shape=tensor.shape)
        return self._tensors[id(tensor)][1]

    def save(self) -> None:
        """Leave their record in the folder, where `load` finds it."""
        entries = [{**asdict(stand_in), "file": stand_in.file.name} for stand_in in self._made]
        (self.folder / _RECORD).write_text(json.dumps(entries))


def load(folder: Path) -> tuple[StandIn, ...]:
    """What `StandIns.save` left; empty when there was nothing large."""
    record = folder / _RECORD
    if not record.exists():
        return ()
    return tuple(
        StandIn(entry["value"], tuple(entry["shape"]), folder / entry["file"])
        for entry in json.loads(record.read_text())
    )


def forget(folder: Path) -> None:
    """Nothing has a stand-in any more."""
    (folder / _RECORD).unlink()


def with_real_constants(saved_model: Path, stand_ins: tuple[StandIn, ...]) -> None:
    """Write the constants themselves into a SavedModel in place of their stand-ins."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = saved_model / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    by_value = {stand_in.value: stand_in for stand_in in stand_ins}
    for tensor in _constants(model):
        if len(tensor.float_val) == 1 and (found := by_value.get(tensor.float_val[0])):
            del tensor.float_val[:]
            tensor.tensor_content = found.file.read_bytes()
    path.write_bytes(model.SerializeToString())


def _constants(model: Any) -> Iterator[Any]:
    for meta in model.meta_graphs:
        functions = (function.node_def for function in meta.graph_def.library.function)
        for nodes in (meta.graph_def.node, *functions):
            for node in nodes:
                if node.op == "Const":
                    yield node.attr["value"].tensor
