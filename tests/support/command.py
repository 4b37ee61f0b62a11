"""Running the command as a user does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
NO_EXPORT_CACHE = {"DEVDIFF_EXPORT_CACHE": ""}
"""For tests of what a conversion does, which must not find it made already."""
DEMONSTRATION = "devdiff demo check-reader"
"""README's command, run by the tests of the demonstration."""
DIGITS = ROOT / "examples/digits/digits.onnx"
HELDOUT = ROOT / "examples/digits/heldout.npz"
DATA = ("--inputs", str(HELDOUT), "--preprocess", "scale=1/255")


def devdiff(
    *arguments: str | Path,
    cwd: Path,
    env: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``devdiff`` in ``cwd``; ``before`` runs in the child before it starts.

    The device rung stays on this machine unless a device is named: what else is attached to the
    machine the tests run on is not theirs to use.
    """
    env = env or {}
    if arguments[:1] == ("export-and-test",) and "--device" not in arguments:
        arguments = (*arguments, *(() if "ANDROID_SERIAL" in env else ("--device", "local")))
    return subprocess.run(
        [sys.executable, "-m", "devdiff", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **env},
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
