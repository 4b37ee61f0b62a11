"""The child process of `devdiff.inputs.staging`: ``python -m devdiff.inputs.staging_child``."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.npy_writer import NpyWriter
from devdiff.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stage:
    """Appends named batches to .npy files, and holds them to the shapes they began with."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin
        self._writers: dict[str, NpyWriter] = {}
        self._kinds: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self._batch = 0

    def add(self, batch: Mapping[str, Array]) -> None:
        """One batch, arrays [n, ...] by name. Raises `UsageError` where they do not go together."""
        where = f"{self._origin}, batch {self._batch}"
        kinds = {}
        for name, array in batch.items():
            if array.dtype.kind not in "fiub":
                raise UsageError(f"{where}: {name} is {array.dtype}, not numbers")
            if array.ndim == 0:
                raise UsageError(f"{where}: {name} is a single number, not samples")
            kinds[name] = f"{array.dtype}[N,{','.join(map(str, array.shape[1:]))}]"
        if len({len(array) for array in batch.values()}) > 1:
            sizes = ", ".join(f"{len(array)} of {name}" for name, array in batch.items())
            raise UsageError(f"{where}: arrays differ in their number of samples: {sizes}")
        if not self._batch:
            for position, name in enumerate(batch):
                self.files[name] = f"staged-{position}.npy"
                self._writers[name] = NpyWriter(self._folder / self.files[name])
            self._kinds = kinds
        elif kinds != self._kinds:
            raise UsageError(
                f"{where}: it holds {_listed(kinds)}, the first {_listed(self._kinds)}"
            )
        for name, array in batch.items():
            self._writers[name].add(array)
        self._batch += 1

    def close(self) -> None:
        if not self._batch:
            raise UsageError(f"{self._origin} gave zero samples: there is nothing to test with")
        for writer in self._writers.values():
            writer.close()


def _listed(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in kinds.items())


def main(request: Mapping[str, Any]) -> int:
    folder = Path(request["folder"])
    inputs = tuple(
        TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in request["inputs"]
    )
    steps = Preprocess.from_json(request["preprocess"])
    path, named = Path(request["path"]), request["named"]
    reply: dict[str, Any]
    try:
        if request["kind"] == "generator":
            from devdiff.inputs import loader

            origin = f"{named}:{request['part']}"
            stage = Stage(folder, origin)
            for batch in loader.batches(path, request["part"], named, [s.name for s in inputs]):
                stage.add(batch)
            filled, ready = steps, False
            notes: tuple[str, ...] = ()
            classes: tuple[str, ...] = ()
        else:
            from devdiff.inputs import huggingface

            stage = Stage(folder, named)
            data = huggingface.open_dataset(path, request["part"], named, inputs, steps)
            for batch in data.batches():
                stage.add(batch)
            filled, ready, notes = data.preprocess, data.ready, data.notes
            classes = data.classes
        stage.close()
        reply = {
            "files": stage.files,
            "preprocess": filled.to_json(),
            "ready": ready,
            "notes": list(notes),
            "classes": list(classes),
        }
    except UsageError as error:
        reply = {"error": str(error)}
    except MemoryError:
        reply = {"error": f"{named} needs more memory than there is: give smaller batches"}
    answer = folder / "staged.json"
    answer.with_suffix(".partial").write_text(json.dumps(reply))
    answer.with_suffix(".partial").replace(answer)
    return 0


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    raise SystemExit(main(json.loads(sys.argv[1])))
