"""Calling the native runner from Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.native import executable
from devdiff.device_runner.runtimes import runtime
from devdiff.exporter.artifact import sha256_file
from tests.support.native_running import Bench, model_pack, read_results


def test_the_command_runs_a_model(bench: Bench, litert: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.pack"
    argv = executable.command(
        bench.models / "classifier_int8.tflite",
        runtime.from_file(litert),
        delegate="none",
        threads=2,
        inputs="-",
        results=results,
    )
    subprocess.run(
        argv, input=model_pack("classifier_int8"), check=True, capture_output=True, timeout=60
    )
    header, records, complete = read_results(results)
    assert header is not None
    assert complete
    assert len(records) == 6
    assert header.about["delegate"] == "none"
    assert header.about["threads"] == 2


def test_inputs_and_results_can_be_left_to_the_caller(litert: Path) -> None:
    argv = executable.command(Path("model.tflite"), runtime.from_file(litert))
    assert "--inputs" not in argv
    assert "--results" not in argv
    assert argv[argv.index("--delegate") + 1] == "xnnpack"
    assert argv[argv.index("--threads") + 1] == "1"


def test_the_library_is_named_by_an_absolute_path(
    litert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(litert.parent)
    argv = executable.command(Path("model.tflite"), runtime.find(Path(litert.name)))
    assert argv[argv.index("--runtime") + 1] == str(litert.resolve())


def test_the_runner_is_identified_by_hash_and_its_own_words(bench: Bench) -> None:
    identity = executable.identify()
    assert identity["path"] == str(bench.runner)
    assert identity["sha256"] == sha256_file(bench.runner)
    assert identity["about"]["protocol"] == executable.PROTOCOL
    assert identity["about"]["arch"] == os.uname().machine


def test_a_runner_that_cannot_be_built_is_a_runner_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_shipped: None
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "file"))
    library = runtime.RuntimeLibrary(tmp_path / "lib.so", "0" * 64, None, "unknown", "a test")
    with pytest.raises(RunnerError, match="cannot build the native runner"):
        executable.command(Path("model.tflite"), library)
