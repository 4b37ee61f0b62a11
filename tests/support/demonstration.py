"""The demonstration, run once for all tests that look at what it shows."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.demo.check_reader import READERS
from tests.support.command import DEMONSTRATION, devdiff
from tests.support.kept_results import PRODUCT, kept_in_place

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Demonstration:
    """What README's command printed, and the run directories and reports that it left."""

    folder: Path
    printed: str
    tests: dict[str, dict[str, Any]]
    scans: dict[str, dict[str, Any]]


def _reports(folder: Path, kind: str) -> dict[str, dict[str, Any]]:
    return {
        reader: json.loads((folder / f"{kind}-{reader}/report.json").read_text())
        for reader in READERS
    }


def _make(place: Path) -> None:
    done = devdiff(*DEMONSTRATION.split()[1:], "--out", "there", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    (place / "printed.txt").write_text(done.stdout)


@contextlib.contextmanager
def demonstrated() -> Iterator[Path]:
    """The folder in which the command was given, for one process at a time."""
    with kept_in_place("demonstration", PRODUCT, [], _make) as folder:
        yield folder


@pytest.fixture(scope="session")
def demonstration() -> Demonstration:
    with demonstrated() as folder:
        there = folder / "there"
        printed = (folder / "printed.txt").read_text()
        return Demonstration(there, printed, _reports(there, "test"), _reports(there, "scan"))
