"""``devdiff doctor``: which versions of what it needs are right."""

from __future__ import annotations

import importlib.metadata

import pytest
from packaging.requirements import Requirement

from devdiff.cli import installation


@pytest.mark.parametrize(
    ("installed", "asked", "right"),
    [
        ("2.13.0+cpu", "torch==2.13.0", True),
        ("2.13.0", "torch==2.13.0", True),
        ("2.13.1+cpu", "torch==2.13.0", False),
        ("1.26.4", "numpy>=1.26,<2", True),
        ("2.0.1", "numpy>=1.26,<2", False),
    ],
)
def test_doctor_takes_a_build_for_the_version_it_is_of(
    installed: str, asked: str, right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed)
    finding = installation._package(Requirement(asked))
    assert finding.ok is right
    assert ("pip install" in finding.remedy) is not right


def test_doctor_asks_for_what_devdiff_itself_requires() -> None:
    found = {finding.name: finding for finding in installation._packages()}
    assert found["numpy"].required
    assert not found["tensorflow"].required, "an extra"
    assert not found["torch"].required, "an extra"
    assert not found["tflite-runtime"].required
    assert [finding.name for finding in found.values() if not finding.ok] == []


def test_doctor_names_the_extra_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("tensorflow", "torch", "onnxscript", "onnxsim"):
            raise importlib.metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    absent = {finding.name: finding for finding in installation._packages() if not finding.ok}
    assert {name: finding.remedy for name, finding in absent.items()} == {
        "onnxsim": "pip install 'devdiff[export]'",
        "tensorflow": "pip install 'devdiff[export]'",
        "torch": "pip install 'devdiff[scan]'",
        "onnxscript": "pip install 'devdiff[torch]'",
    }
    assert not any(finding.required for finding in absent.values())
