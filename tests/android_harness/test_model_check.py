"""The check that keeps broken model files away from runtimes which would crash on them."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from tests.support import runner_cases
from tests.support.native_running import Bench, shared_library
from tests.support.pack_judges import trapping_programs


@pytest.fixture(scope="module")
def no_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library without any API: a model that passes the check ends the run there, code 3."""
    return shared_library(tmp_path_factory.mktemp("library"), "int devdiff_test_symbol = 1;\n")


def check(library: Path, model: Path, folder: Path) -> int:
    argv = [str(trapping_programs() / "runner"), "--runtime", str(library), "--model", str(model)]
    argv += ["--inputs", "/dev/null", "--results", str(folder / "results.pack")]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert json.loads(done.stdout)["ok"] is False
    return done.returncode


@pytest.mark.parametrize("model", runner_cases.INPUTS)
def test_real_models_pass(bench: Bench, no_runtime: Path, tmp_path: Path, model: str) -> None:
    assert check(no_runtime, bench.models / f"{model}.tflite", tmp_path) == 3


@pytest.mark.parametrize("model", ["classifier_int8", "positives"])
def test_no_damage_crashes_the_check(
    bench: Bench, no_runtime: Path, tmp_path: Path, model: str
) -> None:
    """Offsets, counts and sizes are overwritten; both outcomes occur, and no signal."""
    whole = (bench.models / f"{model}.tflite").read_bytes()
    generator = random.Random(1)
    outcomes = []
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(0, len(changed) - 4, 4)
            word = generator.choice((0, 1, 4, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
            changed[at : at + 4] = word.to_bytes(4, "little")
        (tmp_path / "damaged.tflite").write_bytes(changed)
        outcomes.append(check(no_runtime, tmp_path / "damaged.tflite", tmp_path))
    assert set(outcomes) == {3, 4}
