"""Fixtures and helpers for tests that run the native runner with real runtimes and models."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.android_harness import build
from devdiff.android_harness.build import TARGETS, compile_program, runner_path
from devdiff.device_runner.pack import (
    Header,
    PackSample,
    PackTensor,
    encode_done,
    encode_header,
    encode_record,
    read_header,
    read_record,
)
from devdiff.device_runner.runtimes import runtime
from devdiff.system.cache import cache_root, whole_directory
from tests.support import runner_cases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.exporter.artifact import Array

HERE = Path(__file__).parent
CHILD_ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(HERE.parent.parent),
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclass(frozen=True)
class Ran:
    """How one call of the runner ended: its exit code, its lines on standard output as JSON,
    the whole records of its results and whether the result pack ends as it should."""

    code: int
    lines: list[dict[str, Any]]
    header: Header | None
    records: list[PackSample]
    complete: bool
    stderr: str

    @property
    def about(self) -> dict[str, Any]:
        assert self.lines, f"the runner said nothing and ended with {self.code}: {self.stderr}"
        return self.lines[0]

    @property
    def error(self) -> str:
        assert self.lines, f"no line, code {self.code}"
        assert not self.lines[-1]["ok"], f"no failure, code {self.code}"
        return str(self.lines[-1]["error"])

    def outputs(self, position: int) -> dict[str, Array]:
        """The outputs of one record by tensor name."""
        assert self.header is not None
        record = self.records[position]
        assert not record.message, record.message
        names = [tensor.name for tensor in self.header.tensors]
        return dict(zip(names, record.arrays, strict=True))


def input_pack(
    tensors: Sequence[PackTensor], samples: Sequence[Sequence[Array]], first: int = 0
) -> bytes:
    parts = [encode_header(Header({"made": "by a test"}, tuple(tensors)))]
    parts += [encode_record(first + i, sample) for i, sample in enumerate(samples)]
    return b"".join([*parts, encode_done(len(samples))])


def model_pack(model: str, count: int = 6, first: int = 0) -> bytes:
    """A pack of samples for a model of the zoo."""
    return input_pack(runner_cases.INPUTS[model], runner_cases.samples(model, count), first)


def read_results(path: Path) -> tuple[Header | None, list[PackSample], bool]:
    """The header and whole records of a result pack, and whether it is complete."""
    records: list[PackSample] = []
    header = None
    try:
        with path.open("rb") as stream:
            header = read_header(stream)
            while True:
                record = read_record(stream, header.tensors)
                if isinstance(record, int):
                    return header, records, record == len(records)
                records.append(record)
    except Exception:  # noqa: BLE001  what a broken runner leaves is no record
        return header, records, False


@dataclass(frozen=True)
class Bench:
    """The runner and the models to run in it."""

    runner: Path
    models: Path

    def run(
        self,
        library: Path,
        model: str | Path,
        pack: bytes,
        folder: Path,
        *,
        delegate: str = "xnnpack",
        threads: int = 1,
        results: Path | None = None,
    ) -> Ran:
        path = self.models / f"{model}.tflite" if isinstance(model, str) else model
        results = results or folder / "results.pack"
        argv = [str(self.runner), "--runtime", str(library), "--model", str(path)]
        argv += ["--inputs", "-", "--results", str(results)]
        argv += ["--delegate", delegate, "--threads", str(threads)]
        return self.call(argv, pack, results)

    def call(self, argv: Sequence[str], pack: bytes, results: Path) -> Ran:
        done = subprocess.run(argv, input=pack, capture_output=True, timeout=120, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        header, records, complete = (
            read_results(results) if results.is_file() else (None, [], False)
        )
        stderr = done.stderr.decode(errors="replace")
        return Ran(done.returncode, lines, header, records, complete, stderr)


def shared_library(folder: Path, source: str) -> Path:
    """A small library of the test's own making."""
    (folder / "library.c").write_text(source)
    target = folder / "library.so"
    triple = TARGETS["linux-x86_64"].triple
    compile_program((folder / "library.c",), target, triple, ("-shared", "-fPIC", "-O1"))
    return target


def zoo_directory() -> Path:
    """The models, made once for each version of what makes them: TensorFlow takes its time."""
    source = HERE / "runner_zoo.py"
    digest = hashlib.sha256(source.read_bytes())
    digest.update(importlib.metadata.version("tensorflow").encode())
    target = cache_root() / "test-models" / digest.hexdigest()[:32]
    if not target.is_dir():
        with whole_directory(target) as directory:
            subprocess.run(
                [sys.executable, str(source), str(directory)],
                check=True,
                capture_output=True,
                timeout=300,
                env=CHILD_ENVIRONMENT,
            )
    return target


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides what scripts/build_runners may have put into this checkout."""
    monkeypatch.setattr(build, "PREBUILT", tmp_path / "nothing shipped")


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench(runner_path(), zoo_directory())


@pytest.fixture(scope="session")
def litert() -> Path:
    """The pinned library with the LiteRT API."""
    return runtime.find("litert").path


@pytest.fixture(scope="session")
def tflite() -> Path:
    """The pinned library with the TensorFlow Lite API: 47 MB to fetch, so for slow tests."""
    return runtime.find("litert-lm").path


@pytest.fixture(scope="session")
def installed_litert() -> Path:
    """The library of the installed ai-edge-litert, an older one than is pinned for devices."""
    files = importlib.metadata.files("ai-edge-litert") or []
    (found,) = [file for file in files if file.name == "libLiteRt.so"]
    return Path(str(found.locate()))


@pytest.fixture(scope="session")
def reference(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Array]:
    """What Python's interpreter makes of the zoo, see `runner_reference`."""
    target = tmp_path_factory.mktemp("reference") / "outputs.npz"
    subprocess.run(
        [sys.executable, str(HERE / "runner_reference.py"), str(bench.models), str(target)],
        check=True,
        capture_output=True,
        timeout=300,
        env=CHILD_ENVIRONMENT,
    )
    with np.load(target) as arrays:
        return dict(arrays)
