"""Prints the most memory that ``devdiff export`` takes for a model of a given size.

Run it as ``python scripts/bench/export_memory.py --mib 286``. The model is made up: convolutions
with and without batch norms, and dense layers. What is printed is the resident memory of the
command and all its children together, looked at every 20 ms; the goal is 2.5 times the model and
1 GiB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from scripts.bench import models
from scripts.bench.export import Cost, measure

_TIMES: Final = 2.5
_BASE: Final = 1 << 30


def allowed(model: Path) -> int:
    """The goal for a model's export, in bytes."""
    return round(_TIMES * model.stat().st_size) + _BASE


def export(model: Path, folder: Path) -> Cost:
    """Time and memory of the export of ``model`` into ``folder``/out."""
    command = [sys.executable, "-m", "devdiff", "export", str(model), "--out", "out"]
    return measure(command, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mib", type=int, nargs="+", default=[64, 100, 286])
    args = parser.parse_args()
    met = True
    print(f"{'model MiB':>10}{'seconds':>10}{'peak MiB':>10}{'goal MiB':>10}")
    for mib in args.mib:
        with tempfile.TemporaryDirectory() as name:
            model = models.wide(Path(name) / "wide.onnx", mib)
            cost = export(model, Path(name))
            goal = allowed(model)
            met &= cost.peak_bytes <= goal
            size = model.stat().st_size
            print(
                f"{size / 2**20:10.0f}{cost.seconds:10.1f}{cost.peak_bytes / 2**20:10.0f}"
                f"{goal / 2**20:10.0f}"
            )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
