"""Running what a page of docs/cases tells the reader to type, and what came of it as a table."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.models import case_files
from tests.models.case_files import ROOT
from tests.support.kept_results import PRODUCT, kept

_TIMEOUT_S: Final = 580
HEADER: Final = ("run", "step", "largest error", "SNR", "differ", "metric", "verdict")


@dataclass(frozen=True, slots=True)
class CaseRun:
    """One command of a page: ``reports`` are by run directory, several where recipes were tried.

    ``trials`` are what such runs say of their recipes, by folder.
    """

    command: str
    exit_code: int
    shown: str
    errors: str
    reports: Mapping[str, Mapping[str, Any]]
    trials: Mapping[str, Mapping[str, Any]]


def page(name: str) -> Path:
    """Where the case is described."""
    return ROOT / "docs" / "cases" / f"{name}.md"


def commands(name: str) -> list[str]:
    """The page's devdiff commands; those of `devdiff demo` are run by its own tests."""
    blocks = re.findall(r"```sh\n(.*?)```", page(name).read_text("utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("devdiff ") and " demo " not in line]


def run(command: str, folder: Path) -> CaseRun:
    """Run one command in the case's folder.

    Whatever phone is attached to this machine is not the page's to use, so a command that names no
    device runs here.
    """
    words = shlex.split(command)[1:]
    if "export-and-test" in words and "--device" not in words:
        words += ["--device", "local"]
    done = subprocess.run(
        [sys.executable, "-m", "devdiff", *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    reports, trials = {}, {}
    if "--out" in words:
        directory = folder / words[words.index("--out") + 1]
        reports, trials = (
            {
                path.parent.relative_to(folder).as_posix(): json.loads(path.read_text())
                for path in sorted(directory.glob(f"**/{name}"))
            }
            for name in ("report.json", "recipes.json")
        )
    return CaseRun(command, done.returncode, done.stdout, done.stderr, reports, trials)


def run_page(name: str) -> list[CaseRun]:
    """All of a page's commands, in its order, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="devdiff-case-") as scratch:
        case_files.prepare(name, Path(scratch))
        return [run(command, Path(scratch)) for command in commands(name)]


@functools.cache
def kept_page(name: str) -> list[CaseRun]:
    """What `run_page` returned, now or earlier, for the same product, page and packages."""
    rests_on = (*PRODUCT, "tests/models", str(page(name).relative_to(ROOT)))
    made = kept(f"case-{name}", rests_on, [], lambda: [asdict(ran) for ran in run_page(name)])
    return [CaseRun(**ran) for ran in made]


def rows(ran: CaseRun) -> Iterator[tuple[str, ...]]:
    """A row for each step that a command compared, as `HEADER` names them."""
    for name, report in ran.reports.items():
        for pair in report["pairs"]:
            if pair["gates"] or pair["step"] == "runtime":
                yield (name, *_figures(report, pair))


def _figures(report: Mapping[str, Any], pair: Mapping[str, Any]) -> tuple[str, ...]:
    step = pair["step"]
    if step == "runtime":
        step += f" {pair['candidate'].partition('@')[2]}"
    verdict = pair["judgement"]["verdict"] if pair["gates"] else "shown"
    outputs = list((pair["comparison"] or {}).get("outputs", ()))
    if not any(output["elements"] for output in outputs):
        return (step, "–", "–", "–", _metric(report, pair), verdict)
    worst = max(outputs, key=lambda output: output["max_abs_error"])
    error = f"{worst['max_abs_error']:.1e}"
    if worst["lsb"] is not None and worst["max_lsb"] is not None:
        error = f"{worst['max_lsb']:.0f} LSB"
    levels = [output["snr_db"] for output in outputs if output["snr_db"] != "inf"]
    snr = f"{min(levels):.1f} dB" if levels else "∞"
    differ = sum(output["differing_elements"] for output in outputs)
    total = sum(output["elements"] for output in outputs)
    return (step, error, snr, f"{differ} of {total}", _metric(report, pair), verdict)


def _metric(report: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    """The task's first metric on both sides of a step."""
    task = report.get("task")
    if not task:
        return "–"
    name = task["metrics"][0]["name"]
    values = {
        rung["rung"]: rung["values"][name]["value"]
        for rung in task["rungs"]
        if name in rung["values"]
    }
    sides = [values.get(pair[side]) for side in ("reference", "candidate")]
    if None in sides:
        return "–"
    return f"{name} {sides[0]:.3f} → {sides[1]:.3f}"


def table(found: list[tuple[str, ...]]) -> str:
    """Rows as Markdown."""
    lines = [HEADER, tuple("---" for _ in HEADER), *found]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def quoted(name: str) -> list[tuple[str, ...]]:
    """The rows of all such tables on the page."""
    lines = page(name).read_text("utf-8").splitlines()
    cells = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in lines
        if line.startswith("|")
    ]
    return [row for row in cells if len(row) == len(HEADER) and row != HEADER and row[0] != "---"]


def said(ran: CaseRun) -> str:
    """The last line of what a command that left no report said, or nothing."""
    lines = ran.errors.strip().splitlines()
    return lines[-1] if lines and not ran.reports else ""
