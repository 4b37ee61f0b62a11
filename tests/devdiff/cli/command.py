"""Running the command as a user does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples/digits/digits.onnx"
HELDOUT = ROOT / "examples/digits/heldout.npz"
DATA = ("--inputs", str(HELDOUT), "--preprocess", "scale=1/255")


def devdiff(
    *arguments: str | Path,
    cwd: Path,
    env: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``devdiff`` in ``cwd``; ``before`` runs in the child before it starts."""
    return subprocess.run(
        [sys.executable, "-m", "devdiff", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
