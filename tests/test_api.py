"""``import devdiff`` gives what docs/api.md says, and loads nothing before it is used."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import devdiff
from tests.support.command import DIGITS, HELDOUT
from tests.support.command import devdiff as command

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()


def test_every_exported_name_is_there_and_on_the_page() -> None:
    assert devdiff.__all__ == sorted(devdiff.__all__)
    assert len(devdiff.__all__) == 26
    for name in devdiff.__all__:
        assert getattr(devdiff, name).__name__ == name
        assert re.search(rf"`{name}[`(]", PAGE), name
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        _ = devdiff.exprot


def test_no_room_of_the_package_hides_a_name() -> None:
    for name in devdiff.__all__:
        assert importlib.util.find_spec(f"devdiff.{name}") is None, name


def test_the_import_loads_nothing_else() -> None:
    code = "import devdiff, sys; print([n for n in sys.modules if n.startswith('devdiff.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_the_examples_run_as_they_stand(tmp_path: Path) -> None:
    shutil.copy(DIGITS, tmp_path / "model.onnx")
    with np.load(HELDOUT) as arrays:
        images = arrays["image"].astype(np.float32) / 255
        np.savez(tmp_path / "samples.npz", image=images, labels=arrays["labels"])
    command("check", "--init", "model.onnx", "--inputs", "samples.npz", cwd=tmp_path)
    command("attest", "--new-key", "key.pem", cwd=tmp_path)
    # Whatever phones are attached to this machine.
    alone = {**os.environ, "ANDROID_ADB_SERVER_PORT": "9"}
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 12
    for example in examples:
        if "app.zip" in example and not (tmp_path / "app.zip").exists():
            with zipfile.ZipFile(tmp_path / "app.zip", "w") as app:
                app.write(tmp_path / "tested/artifacts/int8.tflite", "assets/model.tflite")
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True,
            timeout=200, check=False, env=alone,
        )  # fmt: skip
        assert done.returncode == 0, (example, done.stderr)
        assert "Traceback" not in done.stderr
