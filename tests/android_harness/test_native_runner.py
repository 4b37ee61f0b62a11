"""The native runner computes what Python's interpreter computes, and says how."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner.pack import PackTensor, Status
from tests.support import runner_cases
from tests.support.native_running import Bench, Ran, input_pack, model_pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array

# The LiteRT API cannot return shapes that depend on the data.
FIXED_SHAPES = [model for model in runner_cases.INPUTS if model != "positives"]


def assert_same(ran: Ran, reference: Mapping[str, Array], model: str, delegate: str) -> None:
    """Integers bit for bit; float32 up to what two builds of one kernel may differ by."""
    assert ran.code == 0, ran.about
    assert ran.complete
    assert len(ran.records) == 6
    for position in range(6):
        found = ran.outputs(position)
        expected = {
            key.split("|")[3]: value
            for key, value in reference.items()
            if key.startswith(f"{model}|{delegate}|{position}|")
        }
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].dtype == value.dtype
            if value.dtype == np.float32:
                np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
@pytest.mark.parametrize("model", FIXED_SHAPES)
def test_litert_library_agrees_with_the_interpreter(
    bench: Bench,
    litert: Path,
    reference: Mapping[str, Array],
    tmp_path: Path,
    model: str,
    delegate: str,
    threads: int,
) -> None:
    ran = bench.run(litert, model, model_pack(model), tmp_path, delegate=delegate, threads=threads)
    assert_same(ran, reference, model, delegate)
    assert ran.about["api"] == "litert"
    assert ran.about["threads"] == threads


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
@pytest.mark.parametrize("model", runner_cases.INPUTS)
def test_tflite_library_agrees_with_the_interpreter(
    bench: Bench,
    tflite: Path,
    reference: Mapping[str, Array],
    tmp_path: Path,
    model: str,
    delegate: str,
    threads: int,
) -> None:
    ran = bench.run(tflite, model, model_pack(model), tmp_path, delegate=delegate, threads=threads)
    assert_same(ran, reference, model, delegate)
    assert ran.about["api"] == "tflite"
    assert ran.about["runtime_version"].startswith("2.")


@pytest.mark.parametrize("model", ["classifier_int8", "classifier_float", "order_trap", "types"])
def test_an_older_litert_library_is_told_apart_by_its_symbols(
    bench: Bench,
    installed_litert: Path,
    reference: Mapping[str, Array],
    tmp_path: Path,
    model: str,
) -> None:
    ran = bench.run(installed_litert, model, model_pack(model), tmp_path)
    assert_same(ran, reference, model, "xnnpack")


def test_with_and_without_xnnpack_really_differ(bench: Bench, litert: Path, tmp_path: Path) -> None:
    with_it, without = (
        bench.run(litert, "classifier_int8", model_pack("classifier_int8"), tmp_path, delegate=name)
        for name in ("xnnpack", "none")
    )
    # XNNPACK leaves the int8 softmax to the built-in kernels.
    assert (with_it.about["nodes_delegated"], without.about["nodes_delegated"]) == (4, 0)
    assert with_it.about["nodes_total"] == without.about["nodes_total"] == 5
    pairs = zip(with_it.records, without.records, strict=True)
    assert any((one.arrays[0] != other.arrays[0]).any() for one, other in pairs)


def test_nodes_that_the_delegate_leaves_are_counted(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    """WHERE and GREATER stay with the built-in kernels, MUL does not."""
    about = bench.run(litert, "positives", model_pack("positives"), tmp_path).about
    assert (about["nodes_delegated"], about["nodes_total"]) == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["classifier_float", "classifier_int8", "positives", "types"])
def test_both_apis_count_the_same_nodes(
    bench: Bench, litert: Path, tflite: Path, installed_litert: Path, tmp_path: Path, model: str
) -> None:
    counts = set()
    for library in (litert, tflite, installed_litert):
        about = bench.run(library, model, model_pack(model), tmp_path).about
        counts.add((about["nodes_delegated"], about["nodes_total"]))
    assert len(counts) == 1
    assert None not in counts.pop()


def test_the_line_on_stdout_is_the_description_in_the_results(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    ran = bench.run(litert, "classifier_int8", model_pack("classifier_int8"), tmp_path)
    assert ran.header is not None
    assert len(ran.lines) == 1
    assert ran.lines[0] == ran.header.about
    about = ran.lines[0]
    assert about["ok"] is True
    assert about["protocol"] == 1
    assert about["delegate"] == "xnnpack"
    assert about["arch"] == "x86_64"
    assert about["pointer_bits"] == 64
    assert "sse2" in about["cpu_features"]
    assert about["runtime_version"] is None  # LiteRT does not tell


def test_about_needs_no_runtime(bench: Bench) -> None:
    done = subprocess.run([bench.runner, "--about"], capture_output=True, check=True)
    about = json.loads(done.stdout)
    assert about["protocol"] == 1
    assert about["ok"] is True
    assert about["apis"] == ["tflite", "litert"]


def test_tensors_are_matched_by_name_in_any_order(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    zebra, ant = runner_cases.INPUTS["order_trap"]
    samples = runner_cases.samples("order_trap", 3)
    straight = bench.run(litert, "order_trap", input_pack([zebra, ant], samples), tmp_path)
    swapped = [[second, first] for first, second in samples]
    turned = bench.run(litert, "order_trap", input_pack([ant, zebra], swapped), tmp_path)
    for position in range(3):
        first, second = straight.outputs(position), turned.outputs(position)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])


def test_a_signature_name_does_where_the_tensor_name_is_unknown(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    samples = runner_cases.samples("order_trap", 1)
    tensors = [
        PackTensor("something else", "float32", (1, 6), "zebra"),
        PackTensor("serving_default_ant:0", "float32", (1, 6)),
    ]
    ran = bench.run(litert, "order_trap", input_pack(tensors, samples), tmp_path)
    assert ran.header is not None
    names = {tensor.signature_name: tensor.name for tensor in ran.header.tensors}
    zebra, ant = samples[0]
    np.testing.assert_allclose(ran.outputs(0)[names["yak"]], zebra - 2 * ant, rtol=1e-6)
    np.testing.assert_allclose(ran.outputs(0)[names["bee"]], zebra * 3 + ant, rtol=1e-6)


@pytest.mark.slow
def test_outputs_may_have_another_shape_in_each_sample(
    bench: Bench, tflite: Path, tmp_path: Path
) -> None:
    tensors = runner_cases.INPUTS["positives"]
    samples = [[np.full(8, -1, np.float32)] for _ in range(3)]
    samples[0][0][[1, 5]] = 2
    samples[2][0][:] = 1
    ran = bench.run(tflite, "positives", input_pack(tensors, samples), tmp_path)
    found = [ran.outputs(position)["PartitionedCall:1"] for position in range(3)]
    assert [value.shape for value in found] == [(2, 1), (0, 1), (8, 1)]
    assert found[0].ravel().tolist() == [1, 5]


def test_an_unreturnable_output_fails_its_samples_and_never_passes_for_zeros(
    bench: Bench, litert: Path, installed_litert: Path, tmp_path: Path
) -> None:
    """The older library runs such a model without a complaint and leaves the buffer alone."""
    tensors = runner_cases.INPUTS["positives"]
    one_positive = np.array([3, -1, -1, -1, -1, -1, -1, -1], np.float32)
    pack = input_pack(tensors, [[one_positive], [np.ones(8, np.float32)]])
    for library in (litert, installed_litert):
        ran = bench.run(library, "positives", pack, tmp_path)
        assert ran.code == 0
        assert ran.complete
        assert [record.status for record in ran.records] == [Status.FAILED] * 2
        assert "depends on the data" in ran.records[0].message


def test_a_failed_invocation_costs_one_sample(bench: Bench, litert: Path, tmp_path: Path) -> None:
    tensors = runner_cases.INPUTS["picky"]
    samples = [[np.array(value, np.int32)] for value in ([0, 1], [0, 9], [3, 2])]
    ran = bench.run(litert, "picky", input_pack(tensors, samples), tmp_path)
    assert ran.code == 0
    assert ran.complete
    assert [record.status for record in ran.records] == [Status.OK, Status.FAILED, Status.OK]
    assert "invocation failed" in ran.records[1].message
    assert ran.outputs(2)["PartitionedCall:0"][0].tolist() == [9, 10, 11]


def test_indices_go_on_where_an_earlier_run_stopped(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    pack = model_pack("classifier_int8", first=40)
    ran = bench.run(litert, "classifier_int8", pack, tmp_path)
    assert [record.index for record in ran.records] == [40, 41, 42, 43, 44, 45]
    assert ran.complete


def test_time_is_that_of_the_invocation(bench: Bench, litert: Path, tmp_path: Path) -> None:
    ran = bench.run(litert, "classifier_float", model_pack("classifier_float"), tmp_path)
    assert all(0 < record.nanoseconds < 1_000_000_000 for record in ran.records)


def test_a_pack_may_hold_no_samples(bench: Bench, litert: Path, tmp_path: Path) -> None:
    pack = model_pack("classifier_int8", count=0)
    ran = bench.run(litert, "classifier_int8", pack, tmp_path)
    assert ran.code == 0
    assert ran.complete
    assert ran.records == []


def test_inputs_may_come_from_a_file(bench: Bench, litert: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs.pack").write_bytes(model_pack("classifier_int8"))
    results = tmp_path / "results.pack"
    argv = [str(bench.runner), "--runtime", str(litert), "--results", str(results)]
    argv += ["--model", str(bench.models / "classifier_int8.tflite")]
    argv += ["--inputs", str(tmp_path / "inputs.pack")]
    ran = bench.call(argv, b"", results)
    assert ran.complete
    assert len(ran.records) == 6
    assert ran.about["delegate"] == "none"  # what the runner does when nothing is said


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 65535, 65536, 65591, 200_003])
def test_it_hashes_files_where_a_phone_has_no_tool_for_it(
    bench: Bench, tmp_path: Path, size: int
) -> None:
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "some file").write_bytes(content)
    argv = [str(bench.runner), "--sha256", str(tmp_path / "none"), str(tmp_path / "some file")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout == f"{hashlib.sha256(content).hexdigest()}  {tmp_path}/some file\n"
    assert done.returncode == 5
    assert subprocess.run([*argv[:2], argv[3]], capture_output=True, check=False).returncode == 0
