"""Trains one model of the zoo, exports it as users would, and measures the files that came out."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from scripts.train_digits import write_onnx
from tests.zoo import recipes
from tests.zoo.artifacts import export
from tests.zoo.measuring import measure

if TYPE_CHECKING:
    from tests.zoo.catalogue import ZooModel
    from tests.zoo.zoo_digits import Digits

TRUTH: Final = "truth.json"


def make(spec: ZooModel, train: Digits, held_out: Digits, folder: Path) -> dict[str, Any]:
    """Make ``spec`` in ``folder`` (replaced as a whole); what `TRUTH` says there.

    Raises what the exporter raises.
    """
    started = time.monotonic()
    torch.set_num_threads(1)
    torch.manual_seed(spec.seed)
    net = recipes.train(spec, train)
    seconds = time.monotonic() - started
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{spec.name}-") as name:
        partial = Path(name)
        # In channels-last order the exporter would write a gather before the classifier.
        write_onnx(net.to(memory_format=torch.contiguous_format), partial / "model.onnx")
        export(spec, partial, train.images)
        truth = measure(spec, held_out, partial) | {"training_seconds": round(seconds)}
        (partial / TRUTH).write_text(json.dumps(truth, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(partial, folder)
    folder.chmod(0o755)
    return truth
