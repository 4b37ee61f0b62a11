"""Where a baseline comes from: a report, a check, or a file a team keeps with its code."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from devdiff.errors import ReportError, UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.gate import record
from devdiff.gate.summary import Facts
from devdiff.ladder.run_directory import REPORT_NAME, read_json, write_json
from devdiff.report import load
from devdiff.system.errors import FormatError
from devdiff.system.typed_json import decode, fields

KIND: Final = "devdiff baseline"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was known of each cell of a check; ``single`` is of a report, which names no cell."""

    path: Path
    sha256: str
    cells: Mapping[str, Facts]
    single: Facts | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """A baseline file, a check.json, a report.json, or a directory with one of the last two.

        Raises `UsageError` when it is none of these, or a check's report is not what it was.
        """
        file = _located(path)
        sha256 = sha256_file(file)
        data = read_json(file)
        if data.get("kind") == KIND:
            return cls(file, sha256, _kept(file, data))
        if data.get("kind") == record.KIND:
            return cls(file, sha256, _checked(file))
        if "pairs" in data:
            return cls(file, sha256, {}, Facts.of(load.load(file)))
        raise UsageError(
            f"{file} is no baseline: give a report.json, a check.json, or what devdiff check "
            "--write-baseline wrote"
        )

    def of(self, cell: str, alone: bool) -> Facts | None:
        """What was known of a cell, None if nothing; ``alone``: the check has no other.

        Raises `UsageError` when only one of several cells could be meant.
        """
        if self.single is None:
            return self.cells.get(cell)
        if not alone:
            raise UsageError(
                f"{self.path} is the report of one run and this check has several: give a "
                "check.json or what --write-baseline wrote"
            )
        return self.single

    def of_run(self) -> Facts:
        """What was known of the one run there is. Raises `UsageError` when there are several."""
        known = [self.single] if self.single else list(self.cells.values())
        if len(known) != 1:
            raise UsageError(
                f"{self.path} has {len(known)} runs ({', '.join(self.cells)}): give the "
                "report.json of the one to compare with"
            )
        return known[0]


def write(path: Path, cells: Mapping[str, Facts]) -> None:
    """Write a baseline file; of what cannot run nothing is known, so errors have no place there.

    Raises `OSError` when it cannot be written.
    """
    data = {
        "kind": KIND,
        "schema_version": _VERSION,
        "devdiff": importlib.metadata.version("devdiff"),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cells": {name: fields(cells[name]) for name in sorted(cells)},
    }
    write_json(path, data)


def _located(path: Path) -> Path:
    if path.is_dir():
        for name in (record.CHECK_NAME, REPORT_NAME):
            if (path / name).is_file():
                return path / name
        raise UsageError(f"{path} holds no {record.CHECK_NAME} and no {REPORT_NAME}")
    if not path.is_file():
        raise UsageError(
            f"the baseline {path} does not exist: devdiff check --write-baseline {path} makes one"
        )
    return path


def _kept(path: Path, data: Mapping[str, Any]) -> dict[str, Facts]:
    version, cells = data.get("schema_version"), data.get("cells")
    if version != _VERSION or not isinstance(cells, dict):
        raise UsageError(
            f"{path} is not a baseline of this devdiff: its schema_version is {version!r}, not "
            f"{_VERSION}; write it again with devdiff check --write-baseline"
        )
    try:
        return {str(name): decode(Facts, facts) for name, facts in cells.items()}
    except FormatError as error:
        raise UsageError(f"{path} is damaged: {error}; write it again") from error


def _checked(path: Path) -> dict[str, Facts]:
    found = {}
    for cell in record.load(path).cells:
        if cell.report is None:
            continue
        report = (path.parent / cell.report).resolve()
        if not report.is_relative_to(path.parent.resolve()) or not report.is_file():
            raise UsageError(
                f"{path}: the report {cell.report} of {cell.name} is not beside it: keep the "
                "whole directory, or a file from devdiff check --write-baseline"
            )
        if sha256_file(report) != cell.sha256:
            raise UsageError(f"{report} is not the report that {path} speaks of: it was changed")
        facts = found[cell.name] = Facts.of(load.load(report))
        if facts.verdict is not cell.verdict:
            raise ReportError(
                f"{path} contradicts itself: {cell.name} is {cell.verdict}, and its report "
                f"says {facts.verdict}"
            )
    return found
