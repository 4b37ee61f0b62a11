"""Data that only running code can give, brought to disk by a child process.

A loader is the user's own Python file, run as such; a data set is read by the package `datasets`.
Whatever either does (print, exit, crash, hold memory) ends with the child.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.errors import UsageError
from devdiff.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from devdiff.exporter.artifact import TensorSpec

# What `datasets.save_to_disk` writes for one split, and for several.
DATASET_FILES: Final = ("state.json", "dataset_dict.json")


@dataclass(frozen=True, slots=True)
class Staged:
    """Arrays by name, as .npy files [N, ...]; ``ready`` when they are the input's tensors,
    ``classes`` are the names of those that the labels number."""

    files: Mapping[str, Path]
    preprocess: Preprocess
    ready: bool
    notes: tuple[str, ...]
    classes: tuple[str, ...]


def stage(
    kind: str,
    path: Path,
    part: str,
    inputs: tuple[TensorSpec, ...],
    preprocess: Preprocess,
    folder: Path,
) -> Staged:
    """Run the loader ``path:part``, or read the data set, into ``folder``.

    Raises `UsageError` with what the child said: the user's own exception and its place, shapes
    that change between batches, a package that is not installed.
    """
    if kind == "dataset" and importlib.util.find_spec("datasets") is None:
        raise UsageError(
            f"{path} is a Hugging Face data set, which the package datasets reads: "
            "pip install 'devdiff[datasets]'"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    request = {
        "kind": kind,
        "path": str(path.resolve()),
        "named": str(path),
        "part": part,
        "inputs": [asdict(spec) for spec in inputs],
        "preprocess": preprocess.to_json(),
        "folder": str(folder),
    }
    # Standard output is the report's: what a loader prints goes to standard error. A closed
    # standard input tells the child that its parent is gone; interrupts are the parent's.
    child = subprocess.Popen(
        [sys.executable, "-m", "devdiff.inputs.staging_child", json.dumps(request)],
        stdin=subprocess.PIPE,
        stdout=sys.stderr.fileno(),
        env={**os.environ, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"},
        start_new_session=True,
    )
    with child:
        try:
            code = child.wait()
        except BaseException:
            child.kill()
            raise
    answer = folder / "staged.json"
    if not answer.exists():
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise UsageError(f"{path}: the process that read it was {how} before it gave its data")
    reply = json.loads(answer.read_text())
    if "error" in reply:
        raise UsageError(reply["error"])
    return Staged(
        {name: folder / file for name, file in reply["files"].items()},
        Preprocess.from_json(reply["preprocess"]),
        reply["ready"],
        tuple(reply["notes"]),
        tuple(reply["classes"]),
    )
