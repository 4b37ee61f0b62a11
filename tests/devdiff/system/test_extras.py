"""What an optional part needs is read from devdiff's own requirements, and named when absent."""

from __future__ import annotations

import importlib.metadata
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from devdiff.exporter.errors import NotInstalledError
from devdiff.exporter.sources.formats import FORMATS
from devdiff.exporter.worker_client import ExportWorker
from devdiff.system import extras
from tests.support.command import DIGITS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What users of devdiff rely on to find by name, in the core or in an extra.
NAMED = ("adb-shell", "numpy", "onnx", "onnx2tf", "tensorflow", "tflite-runtime", "torch")


def absent(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    there = importlib.metadata.version

    def version(name: str) -> str:
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def names(lines: list[str]) -> set[str]:
    return {Requirement(line).name for line in lines}


def test_requirements_are_those_of_the_project() -> None:
    assert {asked.name for asked in extras.requirements()} == names(PROJECT["dependencies"])
    for extra in ("export", "scan", "native"):
        found = {asked.name for asked in extras.requirements(extra)}
        assert found == names(PROJECT["optional-dependencies"][extra])
    whole = {asked.name for asked in extras.requirements("all")}
    parts = {"export", "scan", "torch", "native", "datasets", "mlflow", "usb"}
    assert whole == {one.name for part in parts for one in extras.requirements(part)}
    known = {asked.name for asked in extras.requirements()} | whole
    assert [name for name in NAMED if name not in known] == []


def test_frameworks_are_no_part_of_the_core() -> None:
    core = {asked.name for asked in extras.requirements()}
    assert core.isdisjoint(asked.name for asked in extras.requirements("torch"))


def test_every_extra_that_a_source_needs_exists() -> None:
    for kind in FORMATS.values():
        for extra in kind.extras:
            assert extras.requirements(extra)


def test_pins_are_read_from_the_requirements() -> None:
    assert f"ziglang=={extras.pinned('ziglang')}" in PROJECT["optional-dependencies"]["native"]
    assert extras.pinned("scipy") is None
    assert extras.pinned("no-such-package") is None


def test_what_is_installed_is_no_shortage() -> None:
    assert extras.shortage("an export", "torch", "export", "scan") is None


def test_a_shortage_names_what_is_missing_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent(monkeypatch, "onnx2tf", "tensorflow")
    assert (
        extras.shortage("an export", "export")
        == "an export needs TensorFlow, onnx2tf: pip install 'devdiff[export]'"
    )
    absent(monkeypatch, "onnx2tf", "tensorflow", "keras", "onnx", "h5py")
    message = extras.shortage("it", "scan", "export")
    assert (
        message
        == "it needs TensorFlow, h5py, keras, 2 more packages: pip install 'devdiff[export]'"
    )


@pytest.mark.parametrize(("suffix", "extra"), [(".onnx", "export"), (".pt2", "torch")])
def test_a_source_that_cannot_be_read_here_is_refused_with_the_extra(
    suffix: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / f"model{suffix}"
    model.write_bytes(DIGITS.read_bytes())
    absent(monkeypatch, "tensorflow")
    with (
        ExportWorker(tmp_path / "log.txt") as worker,
        pytest.raises(NotInstalledError, match=rf"^model{suffix}: .*'devdiff\[{extra}\]'$"),
    ):
        worker.describe(model, {})
