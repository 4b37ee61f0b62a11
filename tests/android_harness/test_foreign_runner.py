"""Builds for other machines compute there what the build for this machine computes here."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner.runtimes import runtime
from tests.support.foreign_running import Machine, android_stand_in, linux_aarch64
from tests.support.native_running import Bench, Ran, model_pack, read_results

if TYPE_CHECKING:
    from pathlib import Path

ANDROID = ("android-arm64-v8a", "android-armeabi-v7a", "android-x86_64")


@pytest.fixture(scope="module", params=["cortex-a53", "cortex-a76", "max,sme=off"])
def arm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return linux_aarch64(request.param, tmp_path_factory.mktemp("arm"))


@pytest.fixture(scope="module", params=ANDROID)
def android(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return android_stand_in(request.param, tmp_path_factory.mktemp("android"))


def run(
    machine: Machine, library: Path, model: Path, pack: bytes, folder: Path, *options: str
) -> Ran:
    """One run with inputs from a file; what standard output says comes back as in `Bench.run`."""
    inputs, results = folder / "inputs.pack", folder / "foreign.pack"
    inputs.write_bytes(pack)
    argv = [*machine.words, str(machine.runner), "--runtime", str(library), "--model", str(model)]
    argv += ["--inputs", str(inputs), "--results", str(results), *options]
    done = subprocess.run(argv, capture_output=True, timeout=300, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = read_results(results) if results.is_file() else (None, [], False)
    return Ran(done.returncode, lines, *found, done.stderr.decode(errors="replace"))


def assert_close(found: Ran, expected: Ran) -> None:
    """int8 up to one step, which is what the last softmax may differ by; float32 nearly."""
    assert found.code == 0, (found.lines, found.stderr)
    assert found.complete
    assert len(found.records) == len(expected.records)
    for mine, other in zip(found.records, expected.records, strict=True):
        for one, two in zip(mine.arrays, other.arrays, strict=True):
            assert one.dtype == two.dtype
            if one.dtype == np.float32:
                np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
            else:
                assert np.abs(one.astype(np.int64) - two.astype(np.int64)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("model", ["classifier_int8", "classifier_float", "order_trap", "types"])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_an_arm64_linux_agrees_with_this_machine(
    bench: Bench, arm: Machine, litert: Path, tmp_path: Path, model: str, delegate: str
) -> None:
    library = runtime.for_device("linux-aarch64").path
    path, pack = bench.models / f"{model}.tflite", model_pack(model)
    found = run(arm, library, path, pack, tmp_path, "--delegate", delegate)
    expected = bench.run(litert, model, pack, tmp_path, delegate=delegate)
    assert_close(found, expected)
    assert found.about["arch"] == "aarch64"
    assert found.about["os"] == "linux"
    assert "asimd" in found.about["cpu_features"]
    for key in ("api", "delegate", "nodes_total", "nodes_delegated"):
        assert found.about[key] == expected.about[key]


@pytest.mark.slow
def test_an_arm64_linux_runs_the_tensorflow_lite_api(
    bench: Bench, tflite: Path, tmp_path: Path
) -> None:
    library = runtime.for_device("linux-aarch64", "litert-lm").path
    path, pack = bench.models / "classifier_int8.tflite", model_pack("classifier_int8")
    machine = linux_aarch64("cortex-a76", tmp_path)
    found = run(machine, library, path, pack, tmp_path, "--delegate", "xnnpack")
    assert_close(found, bench.run(tflite, "classifier_int8", pack, tmp_path))
    assert found.about["api"] == "tflite"
    assert (found.about["nodes_delegated"], found.about["nodes_total"]) == (4, 5)


@pytest.mark.slow
def test_an_android_build_starts_and_says_what_it_is(android: Machine) -> None:
    argv = [*android.words, str(android.runner), "--about"]
    about = json.loads(subprocess.run(argv, capture_output=True, timeout=60, check=True).stdout)
    assert about["os"] == "android"
    assert about["ok"] is True
    arch = {"android-arm64-v8a": "aarch64", "android-armeabi-v7a": "arm"}.get(android.abi, "x86_64")
    assert about["arch"] == arch
    assert about["pointer_bits"] == (32 if arch == "arm" else 64)
    assert about["cpu_features"]


@pytest.mark.slow
def test_an_android_build_reads_packs_and_names_what_is_wrong(
    android: Machine, tmp_path: Path
) -> None:
    pack = tmp_path / "inputs.pack"
    argv = [*android.words, str(android.runner), "--check-inputs", str(pack)]
    whole = model_pack("order_trap", count=300)
    for content, code in ((whole, 0), (whole[:-100], 5), (whole[:-9] + b"\1" + whole[-8:], 5)):
        pack.write_bytes(content)
        assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == code


@pytest.mark.slow
def test_an_android_build_explains_a_runtime_that_is_none(
    bench: Bench, android: Machine, tmp_path: Path
) -> None:
    model = bench.models / "order_trap.tflite"
    gone = run(android, tmp_path / "gone.so", model, model_pack("order_trap"), tmp_path)
    assert gone.code == 3
    assert "No such file" in gone.error
    (tmp_path / "text.so").write_text("no library")
    wrong = run(android, tmp_path / "text.so", model, model_pack("order_trap"), tmp_path)
    assert wrong.code == 3
    assert "text.so" in wrong.error


@pytest.mark.slow
@pytest.mark.parametrize("model", ["classifier_int8", "classifier_float"])
def test_the_android_build_for_x86_64_computes_what_the_linux_build_does(
    bench: Bench, litert: Path, tmp_path: Path, model: str
) -> None:
    machine = android_stand_in("android-x86_64", tmp_path)
    path, pack = bench.models / f"{model}.tflite", model_pack(model)
    found = run(machine, litert, path, pack, tmp_path, "--delegate", "xnnpack")
    expected = bench.run(litert, model, pack, tmp_path)
    assert found.code == 0
    assert found.complete
    for mine, other in zip(found.records, expected.records, strict=True):
        assert [a.tobytes() for a in mine.arrays] == [a.tobytes() for a in other.arrays]
    assert found.about["nodes_delegated"] == expected.about["nodes_delegated"]
    assert found.about["os"] == "android"


@pytest.mark.slow
def test_a_phone_that_forbids_new_processes_still_computes(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    """What the second process would have counted is unknown then, and said to be."""
    machine = android_stand_in("android-x86_64", tmp_path, denied="fork")
    path, pack = bench.models / "classifier_int8.tflite", model_pack("classifier_int8")
    found = run(machine, litert, path, pack, tmp_path, "--delegate", "xnnpack")
    assert found.about["nodes_delegated"] is found.about["nodes_total"] is None
    assert_close(found, bench.run(litert, "classifier_int8", pack, tmp_path))


@pytest.mark.slow
def test_a_phone_that_hides_its_processor_is_no_obstacle(tmp_path: Path) -> None:
    machine = android_stand_in("android-x86_64", tmp_path, denied="proc")
    argv = [*machine.words, str(machine.runner), "--about"]
    about = json.loads(subprocess.run(argv, capture_output=True, timeout=60, check=True).stdout)
    assert about["ok"] is True
    assert about["cpu_features"] == []


@pytest.mark.slow
def test_the_android_build_for_arm64_computes_what_the_linux_build_does(
    bench: Bench, tmp_path: Path
) -> None:
    library = runtime.for_device("linux-aarch64").path
    path, pack = bench.models / "classifier_int8.tflite", model_pack("classifier_int8")
    (tmp_path / "android").mkdir()
    machines = (
        android_stand_in("android-arm64-v8a", tmp_path / "android"),
        linux_aarch64("max,sme=off", tmp_path / "linux"),
    )
    found, expected = (
        run(machine, library, path, pack, tmp_path, "--delegate", "xnnpack") for machine in machines
    )
    assert found.code == expected.code == 0, found.stderr
    for mine, other in zip(found.records, expected.records, strict=True):
        assert [a.tobytes() for a in mine.arrays] == [a.tobytes() for a in other.arrays]
