"""What the native runner says when it cannot go on, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from devdiff.android_harness.build import SOURCES
from devdiff.device_runner.pack import Header, PackTensor, encode_done, encode_header, encode_record
from tests.support import runner_cases
from tests.support.native_running import (
    Bench,
    Ran,
    input_pack,
    model_pack,
    read_results,
    shared_library,
)

MODEL = "classifier_int8"


def assert_failed(ran: Ran, code: int, stage: str, *words: str) -> None:
    assert ran.code == code, (ran.lines, ran.stderr)
    assert ran.lines[-1]["stage"] == stage
    for word in words:
        assert word in ran.error
    assert "\n" not in ran.error


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "are needed"),
        (["--runtime"], "needs a value"),
        (["--nonsense", "1"], "unknown option '--nonsense'"),
        (["--threads", "0"], "from 1 to"),
        (["--threads", "two"], "not 'two'"),
        (["--delegate", "tpu"], "none, xnnpack, gpu or nnapi"),
        (
            ["--runtime", "libLiteRt.so", "--model", "m", "--inputs", "-", "--results", "r"],
            "absolute path",
        ),
    ],
)
def test_wrong_usage_is_explained(
    bench: Bench, tmp_path: Path, words: list[str], expected: str
) -> None:
    ran = bench.call([str(bench.runner), *words], b"", tmp_path / "none")
    assert_failed(ran, 2, "usage", expected)


def test_a_runtime_library_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    ran = bench.run(tmp_path / "gone.so", MODEL, model_pack(MODEL), tmp_path)
    assert_failed(ran, 3, "runtime", "gone.so", "No such file")


def test_a_runtime_library_that_is_none(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("not a library")
    ran = bench.run(tmp_path / "text.so", MODEL, model_pack(MODEL), tmp_path)
    assert_failed(ran, 3, "runtime", "cannot load", "text.so")


def test_a_library_without_either_api(bench: Bench, tmp_path: Path) -> None:
    library = shared_library(
        tmp_path, "int TfLiteSomething(void); int TfLiteSomething(void) { return 1; }\n"
    )
    ran = bench.run(library, MODEL, model_pack(MODEL), tmp_path)
    assert_failed(ran, 3, "runtime", "neither the TensorFlow Lite C API nor a LiteRT C API")


def tflite_like_library(folder: Path, version: str, *more: str) -> Path:
    """A library with every symbol the runner needs of the TensorFlow Lite C API; only the version
    is ever called."""
    source = (SOURCES / "backend_tflite.c").read_text()
    names = [
        name for name in re.findall(r'"TfLite(\w+)", &[\w.]+, true', source) if name != "Version"
    ]
    assert len(names) > 15
    lines = [f"void TfLite{name}(void) {{}}" for name in (*names, *more)]
    lines.append(f'const char *TfLiteVersion(void) {{ return "{version}"; }}')
    return shared_library(folder, "\n".join(lines) + "\n")


def test_xnnpack_that_is_not_there_is_not_replaced_silently(bench: Bench, tmp_path: Path) -> None:
    library = tflite_like_library(tmp_path, "2.16.1")
    ran = bench.run(library, MODEL, model_pack(MODEL), tmp_path)
    assert_failed(ran, 3, "runtime", "XNNPACK was asked for", "--delegate none")


def test_an_xnnpack_too_old_to_be_set_up_is_refused(bench: Bench, tmp_path: Path) -> None:
    functions = ("XNNPackDelegateCreate", "XNNPackDelegateOptionsDefault")
    library = tflite_like_library(tmp_path, "2.8.0", *functions)
    ran = bench.run(library, MODEL, model_pack(MODEL), tmp_path)
    assert_failed(ran, 3, "runtime", "2.8.0", "older than")


def test_a_library_that_cannot_leave_xnnpack_out_is_refused(
    bench: Bench, installed_litert: Path, tmp_path: Path
) -> None:
    ran = bench.run(installed_litert, MODEL, model_pack(MODEL), tmp_path, delegate="none")
    assert_failed(ran, 3, "runtime", "always applies it")


def test_a_model_that_is_not_there(bench: Bench, litert: Path, tmp_path: Path) -> None:
    ran = bench.run(litert, tmp_path / "gone.tflite", model_pack(MODEL), tmp_path)
    assert_failed(ran, 4, "model", "gone.tflite", "No such file")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty"),
        (b"TFL3", "not a TensorFlow Lite model"),
        (bytes(range(256)) * 16, "not a TensorFlow Lite model"),
        (b"\x20\0\0\0TFL3" + bytes(100), "damaged or cut short"),
    ],
)
def test_a_file_that_is_no_model(
    bench: Bench, litert: Path, tmp_path: Path, content: bytes, word: str
) -> None:
    (tmp_path / "broken.tflite").write_bytes(content)
    ran = bench.run(litert, tmp_path / "broken.tflite", model_pack(MODEL), tmp_path)
    assert_failed(ran, 4, "model", "broken.tflite", word)


def test_a_model_cut_short_anywhere_is_an_error_and_no_crash(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    whole = (bench.models / f"{MODEL}.tflite").read_bytes()
    pack = model_pack(MODEL)
    for size in range(1, len(whole), len(whole) // 40):
        (tmp_path / "short.tflite").write_bytes(whole[:size])
        ran = bench.run(litert, tmp_path / "short.tflite", pack, tmp_path)
        assert_failed(ran, 4, "model", "short.tflite")


def test_wrong_names_show_both_sides(bench: Bench, litert: Path, tmp_path: Path) -> None:
    samples = runner_cases.samples(MODEL, 1)
    pack = input_pack([PackTensor("pixels", "int8", (1, 16, 16, 3))], samples)
    ran = bench.run(litert, MODEL, pack, tmp_path)
    assert_failed(ran, 5, "inputs", "'serving_default_image:0' (image)", "'pixels'")
    assert not ran.complete


@pytest.mark.parametrize("extra", [True, False])
def test_every_input_needs_its_tensor_and_every_tensor_its_input(
    bench: Bench, litert: Path, tmp_path: Path, extra: bool
) -> None:
    tensors = list(runner_cases.INPUTS["order_trap"])
    sample = runner_cases.samples("order_trap", 1)[0]
    if extra:
        tensors.append(PackTensor("third", "float32", (1, 6)))
        sample.append(sample[0])
    else:
        del tensors[0], sample[0]
    ran = bench.run(litert, "order_trap", input_pack(tensors, [sample]), tmp_path)
    assert_failed(ran, 5, "inputs", "does not fit the model", "zebra")


@pytest.mark.parametrize(
    ("dtype", "shape", "said"),
    [
        ("float32", (1, 16, 16, 3), "float32[1,16,16,3]"),
        ("int8", (1, 3, 16, 16), "int8[1,3,16,16]"),
        ("int8", (16, 16, 3), "int8[16,16,3]"),
    ],
)
def test_wrong_type_or_shape_shows_both_sides(
    bench: Bench, litert: Path, tmp_path: Path, dtype: str, shape: tuple[int, ...], said: str
) -> None:
    tensor = PackTensor("serving_default_image:0", dtype, shape)
    pack = input_pack([tensor], [[np.zeros(shape, dtype)]])
    ran = bench.run(litert, MODEL, pack, tmp_path)
    assert_failed(ran, 5, "inputs", "int8[1,16,16,3]", said)


def test_a_sample_of_another_shape_fails_alone(bench: Bench, litert: Path, tmp_path: Path) -> None:
    (tensor,) = runner_cases.INPUTS[MODEL]
    good = runner_cases.samples(MODEL, 1)[0]
    pack = input_pack([tensor], [good, [np.zeros((1, 8, 8, 3), np.int8)], good])
    ran = bench.run(litert, MODEL, pack, tmp_path)
    assert ran.code == 0
    assert ran.complete
    assert [int(record.status) for record in ran.records] == [0, 1, 0]
    assert "another shape" in ran.records[1].message


def test_a_pack_cut_short_keeps_what_came_before(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    ran = bench.run(litert, MODEL, model_pack(MODEL, 4)[:-100], tmp_path)
    assert_failed(ran, 5, "inputs", "ends in the middle")
    assert [record.index for record in ran.records] == [0, 1, 2]
    assert not ran.complete


def test_a_flipped_bit_in_a_sample_is_noticed(bench: Bench, litert: Path, tmp_path: Path) -> None:
    pack = bytearray(model_pack(MODEL, 2))
    pack[-100] ^= 4
    ran = bench.run(litert, MODEL, bytes(pack), tmp_path)
    assert_failed(ran, 5, "inputs", "checksum")
    assert len(ran.records) == 1


def test_results_that_cannot_be_created(bench: Bench, litert: Path, tmp_path: Path) -> None:
    results = tmp_path / "no such folder" / "results.pack"
    ran = bench.run(litert, MODEL, model_pack(MODEL), tmp_path, results=results)
    assert_failed(ran, 6, "results", "no such folder", "No such file")


def test_a_full_device_is_named(bench: Bench, litert: Path, tmp_path: Path) -> None:
    ran = bench.run(litert, MODEL, model_pack(MODEL), tmp_path, results=Path("/dev/full"))
    assert_failed(ran, 6, "results", "No space left")


def test_a_disk_that_fills_up_is_left_with_whole_records(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    """A file size limit stops the write in the middle of a record, as a full disk does."""
    pack = tmp_path / "inputs.pack"
    pack.write_bytes(model_pack("classifier_float", 200))
    results = tmp_path / "results.pack"
    argv = [str(bench.runner), "--runtime", str(litert), "--results", str(results)]
    argv += ["--model", str(bench.models / "classifier_float.tflite"), "--inputs", str(pack)]
    limited = f"trap '' XFSZ; ulimit -f 8; exec {shlex.join(argv)}"
    ran = bench.call(["/bin/sh", "-c", limited], b"", results)
    assert_failed(ran, 6, "results", "File too large")
    assert ran.lines[0]["ok"] is True
    assert 0 < len(ran.records) < 200
    records = b"".join(
        encode_record(record.index, record.arrays, nanoseconds=record.nanoseconds)
        for record in ran.records
    )
    assert results.read_bytes().endswith(records)


def test_a_small_full_filesystem(bench: Bench, litert: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small filesystem needs root")
    try:
        pack = model_pack("classifier_float", 400)
        results = disk / "results.pack"
        ran = bench.run(litert, "classifier_float", pack, tmp_path, results=results)
        assert_failed(ran, 6, "results", "No space left")
        assert len(ran.records) > 10
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def start(bench: Bench, library: Path, results: Path) -> subprocess.Popen[bytes]:
    argv = [str(bench.runner), "--runtime", str(library), "--inputs", "-", "--delegate", "xnnpack"]
    argv += ["--model", str(bench.models / f"{MODEL}.tflite"), "--results", str(results)]
    return subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def wait_for_records(results: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(read_results(results)[1] if results.exists() else []) < count:
        assert time.monotonic() < deadline, "the runner made no progress"
        time.sleep(0.01)


def test_a_killed_run_leaves_whole_records_and_can_be_continued(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    tensors, samples = runner_cases.INPUTS[MODEL], runner_cases.samples(MODEL, 8)
    results = tmp_path / "results.pack"
    runner = start(bench, litert, results)
    assert runner.stdin is not None
    head = encode_header(Header({}, tensors))
    runner.stdin.write(head + b"".join(encode_record(i, samples[i]) for i in range(5)))
    runner.stdin.flush()
    wait_for_records(results, 5)
    runner.send_signal(signal.SIGKILL)
    assert runner.wait() == -signal.SIGKILL
    runner.stdin.close()
    assert runner.stdout is not None
    runner.stdout.close()
    _, kept, complete = read_results(results)
    assert len(kept) == 5
    assert not complete

    rest = bench.run(litert, MODEL, input_pack(tensors, samples[5:], first=5), tmp_path)
    once = bench.run(litert, MODEL, input_pack(tensors, samples), tmp_path)
    together = [*kept, *rest.records]
    assert [record.index for record in together] == list(range(8))
    for found, expected in zip(together, once.records, strict=True):
        np.testing.assert_array_equal(found.arrays[0], expected.arrays[0])


def test_a_reader_that_goes_away_ends_the_run(bench: Bench, litert: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "results.fifo"
    os.mkfifo(fifo)
    runner = start(bench, litert, fifo)
    assert runner.stdin is not None
    assert runner.stdout is not None
    with fifo.open("rb"):
        runner.stdin.write(encode_header(Header({}, runner_cases.INPUTS[MODEL])))
        runner.stdin.flush()
        assert json.loads(runner.stdout.readline())["ok"] is True
    runner.stdin.write(encode_record(0, runner_cases.samples(MODEL, 1)[0]))
    runner.stdin.flush()
    assert runner.wait(30) == -signal.SIGPIPE
    runner.stdin.close()
    runner.stdout.close()


def test_a_run_ends_when_its_parent_is_gone(bench: Bench, litert: Path, tmp_path: Path) -> None:
    inputs, results, said = (tmp_path / name for name in ("inputs", "results.pack", "said"))
    os.mkfifo(inputs)
    argv = [str(bench.runner), "--runtime", str(litert), "--inputs", str(inputs)]
    argv += ["--model", str(bench.models / f"{MODEL}.tflite"), "--results", str(results)]
    script = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"
    with said.open("wb") as stdout:
        parent = subprocess.Popen(
            [sys.executable, "-c", script, *argv],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )
    sample = runner_cases.samples(MODEL, 1)[0]
    with inputs.open("wb") as stream:
        stream.write(encode_header(Header({}, runner_cases.INPUTS[MODEL])))
        stream.write(encode_record(0, sample))
        stream.flush()
        wait_for_records(results, 1)
        parent.communicate()
        stream.write(encode_record(1, sample) + encode_done(2))
    deadline = time.monotonic() + 30
    while said.read_text().count("\n") < 2:
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.01)
    last = json.loads(said.read_text().splitlines()[-1])
    assert last["stage"] == "results"
    assert "is gone" in last["error"]
    assert len(read_results(results)[1]) == 1
