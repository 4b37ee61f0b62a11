"""``scripts/zoo colour``: makes the colour models of the zoo and lists what they turned out to be.

Their pictures are not part of this: ``--data`` names an .npz of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from devdiff.system.cache import cache_root
from scripts.train_digits import write_onnx
from tests.zoo import colour_data, colour_recipes
from tests.zoo.artifacts import export
from tests.zoo.colour_catalogue import COLOUR_MODELS
from tests.zoo.making import TRUTH
from tests.zoo.measuring import COLOUR, measure
from tests.zoo.zoo_command import row

if TYPE_CHECKING:
    from tests.zoo.catalogue import ZooModel
    from tests.zoo.zoo_digits import Digits


def colour_root() -> Path:
    """Where the made models lie, one folder each, beside the held-out ``images.npz``."""
    return cache_root() / "zoo-colour"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/zoo colour", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="all that are missing, if left out"
    )
    parser.add_argument("--data", type=Path, metavar="NPZ", help="pictures; see colour_data")
    parser.add_argument(
        "--resnet8", type=Path, metavar="TFLITE", help="MLPerf Tiny's pretrainedResnet.tflite"
    )
    options = parser.parse_args(arguments)
    if options.data is None:
        for spec in COLOUR_MODELS:
            path = colour_root() / spec.name / TRUTH
            print(row(spec, json.loads(path.read_text()) if path.exists() else None))
        return 0
    known = {spec.name: spec for spec in COLOUR_MODELS}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no model {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.names] or [
        spec for spec in COLOUR_MODELS if not (colour_root() / spec.name / TRUTH).exists()
    ]
    train, held_out = colour_data.load(options.data)
    colour_root().mkdir(parents=True, exist_ok=True)
    np.savez_compressed(colour_root() / "images.npz", clean=held_out.images, labels=held_out.labels)
    made = [_made(spec, train, held_out, options.resnet8) for spec in chosen]
    return 0 if all(made) else 1


def _made(spec: ZooModel, train: Digits, held_out: Digits, resnet8: Path | None) -> bool:
    try:
        truth = make(spec, train, held_out, resnet8)
    except Exception:  # noqa: BLE001
        # One model that cannot be made must not end a queue of many.
        print(f"{spec.name}: not made\n{traceback.format_exc()}", flush=True)
        return False
    print(row(spec, truth), f"{truth['training_seconds']} s", flush=True)
    return True


def make(
    spec: ZooModel, train: Digits, held_out: Digits, resnet8: Path | None = None
) -> dict[str, Any]:
    """Make ``spec`` in its folder (replaced as a whole); what `TRUTH` says there.

    Raises what the exporter raises.
    """
    torch.set_num_threads(1)
    begin = colour_recipes.base(spec.architecture, train, colour_root(), resnet8)
    started = time.monotonic()
    torch.manual_seed(spec.seed)
    net = colour_recipes.train(spec, begin, train)
    seconds = time.monotonic() - started
    folder = colour_root() / spec.name
    with tempfile.TemporaryDirectory(dir=colour_root(), prefix=f".{spec.name}-") as name:
        partial = Path(name)
        channels, height, width = train.images.shape[1:]
        shape = channels, height, width
        write_onnx(net.to(memory_format=torch.contiguous_format), partial / "model.onnx", shape)
        export(spec, partial, colour_recipes.calibration(spec, train.images))
        truth = measure(spec, held_out, partial, COLOUR) | {"training_seconds": round(seconds)}
        (partial / TRUTH).write_text(json.dumps(truth, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(partial, folder)
    folder.chmod(0o755)
    return truth


if __name__ == "__main__":
    sys.exit(main())
