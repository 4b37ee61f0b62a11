"""Results on standard output, and runs that begin behind what is already known."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.pack import PackSample, read_header, read_record
from tests.support.native_running import Bench, model_pack

if TYPE_CHECKING:
    from pathlib import Path


def run(
    bench: Bench, library: Path, folder: Path, *options: str
) -> subprocess.CompletedProcess[bytes]:
    model = next(iter(sorted(bench.models.glob("*.tflite"))))
    (folder / "inputs.pack").write_bytes(model_pack(model.stem, count=6))
    argv = [bench.runner, "--runtime", library, "--model", model, "--delegate", "xnnpack"]
    argv += ["--inputs", folder / "inputs.pack", "--results", "-", *options]
    return subprocess.run(list(map(str, argv)), capture_output=True, timeout=60, check=False)


def records(stdout: bytes) -> tuple[list[PackSample], int]:
    """The samples of a whole pack and what its end record says."""
    stream = io.BytesIO(stdout)
    header = read_header(stream)
    found = []
    while isinstance(record := read_record(stream, header.tensors), PackSample):
        found.append(record)
    assert not stream.read()
    return found, record


def test_standard_output_carries_the_pack_and_standard_error_the_json(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    done = run(bench, litert, tmp_path)
    assert done.returncode == 0, done.stderr
    found, end = records(done.stdout)
    assert [record.index for record in found] == list(range(6))
    assert end == 6
    about = json.loads(done.stderr.splitlines()[-1])
    assert about["ok"]
    assert about == dict(read_header(io.BytesIO(done.stdout)).about)


def test_a_run_may_begin_behind_what_is_known(bench: Bench, litert: Path, tmp_path: Path) -> None:
    whole, _ = records(run(bench, litert, tmp_path).stdout)
    rest, end = records(run(bench, litert, tmp_path, "--first", "4").stdout)
    assert [record.index for record in rest] == [4, 5]
    assert end == 2
    for mine, other in zip(rest, whole[4:], strict=True):
        for a, b in zip(mine.arrays, other.arrays, strict=True):
            assert a.tobytes() == b.tobytes()


def test_a_failure_is_told_on_standard_error_too(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    done = run(bench, litert, tmp_path, "--model", str(tmp_path / "nowhere.tflite"))
    assert done.returncode == 4
    assert done.stdout == b""
    assert json.loads(done.stderr.splitlines()[-1])["stage"] == "model"


@pytest.mark.parametrize("text", ["", "-1", "two", "3x"])
def test_a_first_sample_that_is_none_is_refused(
    bench: Bench, litert: Path, tmp_path: Path, text: str
) -> None:
    done = run(bench, litert, tmp_path, "--first", text)
    assert done.returncode == 2
    assert "--first takes" in json.loads(done.stderr.splitlines()[-1])["error"]


def test_a_runner_does_not_outlive_who_feeds_it(bench: Bench, litert: Path, tmp_path: Path) -> None:
    """Its parent is killed while it waits for a sample from a pipe that stays open."""
    model = next(iter(sorted(bench.models.glob("*.tflite"))))
    results = tmp_path / "results.pack"
    argv = [bench.runner, "--runtime", litert, "--model", model, "--inputs", "-"]
    argv += ["--results", results]
    feeder = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=0, stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    whole = model_pack(model.stem, count=1)
    parent = subprocess.Popen(
        [sys.executable, "-c", feeder, *map(str, argv)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    handle = os.pidfd_open(int(parent.stdout.readline()))
    parent.stdin.write(whole[:-100])  # the header, and a sample that is not whole
    parent.stdin.flush()
    deadline = time.monotonic() + 60
    while not (results.exists() and results.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.kill()
    assert select.select([handle], [], [], 30)[0], "the runner lives on"
    os.close(handle)
    parent.communicate()
