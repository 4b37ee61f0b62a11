"""A report as Markdown: a summary for a pull request or the page of a pipeline's run.

Names and messages from outside are escaped as text for GitHub's Markdown, which is HTML's as well:
own code, since the libraries that write Markdown leave what is put into them as it is.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.report import basis, bindings, data_check, task
from devdiff.report import headline as report_headline
from devdiff.report.cases import Case, cases
from devdiff.report.next_steps import next_steps
from devdiff.report.terminal import accuracies
from devdiff.report.words import (
    differing,
    largest_error,
    mark,
    number,
    one_line,
    percent,
    proportion,
    what_ran,
)
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from devdiff.report.model import DataCheckSection, Report, ScanSection

SUMMARY_VARIABLE: Final = "GITHUB_STEP_SUMMARY"
SUMMARY_BYTES: Final = 1 << 20
"""GitHub shows nothing of a step's summary that is larger."""
_MOST_BYTES: Final = SUMMARY_BYTES // 4
_ROWS_SHOWN: Final = 100
_REASONS_SHOWN: Final = 20
_NAME_CHARS: Final = 120
_TEXT_CHARS: Final = 600
_COMMAND_CHARS: Final = 4000
_SIGNS: Final = re.compile(r"[\\`*_{}\[\]~|#^$!]")
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Addresses become links and names of people are told wherever they stand; a space of no width at
# these places keeps them from it.
_LINKS: Final = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=(?<!\w)@)(?=\w)", re.IGNORECASE)


def write(report: Report, path: Path) -> None:
    """Write a valid report's summary to ``path``, whole or not at all."""
    text = render(report)
    with whole_file(path) as stream:
        stream.write(text)


def render(report: Report) -> str:
    """The summary of a valid report: verdict, steps, reasons, scan, what ran, the command.

    Of a report whose summary would take more than `_MOST_BYTES`, only the headline.
    """
    cause = report_headline.cause(report)
    parts = [] if cause is None else [plain(cause, _TEXT_CHARS)]
    parts += _steps(report)
    parts += [f"Warning: {plain(str(found), _TEXT_CHARS)}" for found in report.inputs.warnings]
    if report.data_check is not None:
        parts += _data(report.data_check)
    if report.task is not None:
        parts.append(plain(task.headline(report.task), _TEXT_CHARS))
    if report.scan is not None:
        parts += _scan(report.scan)
    parts += [_ran(report), *_dependence(report), *_bindings(report), _inputs(report)]
    parts.append("\n".join(f"- Next: {plain(step, _TEXT_CHARS)}" for step in next_steps(report)))
    parts.append(_command(report))
    text = "\n\n".join([headline(report), *parts]) + "\n"
    if len(text.encode()) > _MOST_BYTES:
        return f"{headline(report)}\n\nThere is too much to show here: see report.json.\n"
    return text


def headline(report: Report) -> str:
    """The verdict as a heading, and the sentence behind it."""
    verdict = report.verdict
    model = plain(report.model.name, _NAME_CHARS)
    lines = [
        f"## {mark(verdict)} {verdict.upper()}: {model}",
        f"devdiff: {plain(report.summary, _TEXT_CHARS)}",
        f"Basis: {plain(basis.sentence(report.basis), _TEXT_CHARS)}",
    ]
    return "\n\n".join(lines)


def append_step_summary(report: Report, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Append the summary to the file that GitHub Actions shows for this step, if it runs there.

    Where that file has no room for all of it, only the headline is appended, or nothing. Returns
    the file when something was appended. Raises `OSError` when it cannot be written.
    """
    return append_to_step((render(report), headline(report) + "\n"), environ)


def append_to_step(texts: Sequence[str], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Append the first of ``texts`` that there is room for, as `append_step_summary` does."""
    named = environ.get(SUMMARY_VARIABLE)
    if not named:
        return None
    path = Path(named)
    taken = path.stat().st_size if path.exists() else 0
    for text in texts:
        data = f"{text}\n".encode()
        if taken + len(data) <= SUMMARY_BYTES:
            with path.open("ab") as stream:
                stream.write(data)
            return path
    return None


def plain(text: Any, limit: int | None = None) -> str:
    """Text from outside that Markdown shows as it is, on one line; never at a line's beginning."""
    line = _LINKS.sub("\u200b", one_line(text, limit))
    line = _SIGNS.sub(r"\\\g<0>", line)
    return re.sub("[&<>]", lambda found: _ENTITIES[found[0]], line)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict_cell(verdict: str, counts: bool = True) -> str:
    """A verdict with its sign, in brackets where it does not count."""
    text = f"{mark(verdict)} {verdict}"
    return f"**{text}**" if counts else f"({text})"


def _steps(report: Report) -> Iterator[str]:
    found = cases(report)
    if not found:
        return
    # What stands against the verdict is not among the rows that are left out.
    against = sorted(
        range(len(found)),
        key=lambda place: (found[place].verdict == "pass", not found[place].counts),
    )
    shown = [found[place] for place in sorted(against[:_ROWS_SHOWN])]
    figures = ("max error", "SNR dB", "of variation", "top-1 agreement", "differing")
    yield table(("step", "rungs", "output", *figures, "verdict"), map(_row, shown))
    if len(found) > len(shown):
        yield f"{len(found) - len(shown)} more rows are in report.json."
    reasons = [
        f"- **{case.verdict}**, {plain(case.step)} ({plain(case.pair, _NAME_CHARS)}): "
        f"{plain(reason, _TEXT_CHARS)}"
        for case in found
        if case.counts and case.verdict != "pass"
        for reason in case.reasons
    ]
    reasons = list(dict.fromkeys(reasons))
    if reasons:
        yield "\n".join(reasons[:_REASONS_SHOWN])
    if len(reasons) > _REASONS_SHOWN:
        yield f"{len(reasons) - _REASONS_SHOWN} more reasons are in report.json."


def _row(case: Case) -> list[str]:
    figures = ["", "", "", "", ""]
    if case.metrics is not None:
        agreement = proportion(case.answers.top_1) if case.answers else ""
        figures = [
            largest_error(case.metrics),
            number(case.metrics.snr_db),
            number(case.metrics.variation_snr_db),
            agreement,
            differing(case.metrics),
        ]
    return [
        plain(case.step),
        plain(case.pair, _NAME_CHARS),
        plain(case.output, _NAME_CHARS),
        *map(plain, figures),
        verdict_cell(case.verdict, case.counts),
    ]


def _scan(scan: ScanSection) -> Iterator[str]:
    yield f"### Scan: {mark(scan.verdict)} {scan.verdict}"
    yield f"The scan says: {plain(scan.reason, _TEXT_CHARS)}"
    facts = []
    trigger, placebo = scan.trigger, scan.placebo
    if trigger is not None:
        aim = "another answer" if trigger.target is None else f"class {trigger.target}"
        facts.append(
            f"trigger: {plain(trigger.form)}, {percent(trigger.size)} of the input, towards {aim}"
        )
    facts += [
        f"rung {plain(rung.rung, _NAME_CHARS)}: {proportion(rung.triggered)} with it, "
        f"{proportion(rung.clean)} without"
        for rung in (scan.replay.rungs if scan.replay is not None else ())
    ]
    if placebo is not None and placebo.searched:
        rates = ", ".join(number(rate) for rate in placebo.searched)
        facts.append(
            f"placebos ({plain(placebo.what, _NAME_CHARS)}): {rates}; the model itself: "
            f"{number(placebo.own)}"
        )
    for name, found in scan.parts_of_evidence().items():
        text = found.error or found.skipped or found.status
        facts.append(f"{plain(name)}: {plain(text, _TEXT_CHARS)}")
    facts += [
        f"threat {plain(threat.id, 40)}: {plain(threat.name, _NAME_CHARS)}"
        for threat in scan.taxonomy
    ]
    if facts:
        yield "\n".join(f"- {fact}" for fact in facts)


def _data(check: DataCheckSection) -> Iterator[str]:
    """What was found about inputs and labels, where they may not suit the model."""
    if check.verdict == "pass":
        return
    word = f"**{check.verdict}**" if check.verdict else "Note"
    yield f"{word}, inputs and labels: {plain(data_check.sentence(check), _TEXT_CHARS)}"
    if check.trials:
        rows = [
            [
                plain(f"{trial.kind}: {trial.change}", _NAME_CHARS),
                proportion(trial.accuracy),
                "mends it" if trial.mends else "",
            ]
            for trial in check.trials
        ]
        yield table(("changed", "right", ""), [["nothing", proportion(check.accuracy), ""], *rows])


def _ran(report: Report) -> str:
    accuracy = accuracies(report.pairs)
    head = ["rung", "what ran", "model sha256", "samples", "ms/sample"]
    rows = []
    for rung in report.rungs:
        samples = str(rung.samples)
        if rung.failed:
            samples += f" ({rung.failed} failed)"
        row = [
            plain(rung.name, _NAME_CHARS),
            plain(rung.error or what_ran(rung), _TEXT_CHARS),
            f"`{rung.model.sha256[:12]}`",
            samples,
            number(rung.time.median_ms),
        ]
        rows.append([*row, plain(accuracy.get(rung.name, ""))] if accuracy else row)
    return table([*head, "accuracy"] if accuracy else head, rows)


def _dependence(report: Report) -> Iterator[str]:
    """How the outputs answer each input, of the steps where that was tried."""
    columns = (
        "step",
        "input exchanged",
        "output",
        "change on the reference",
        "followed",
        "verdict",
    )
    rows = [
        [
            plain(pair.step),
            plain(response.input, _NAME_CHARS),
            plain(response.output, _NAME_CHARS),
            number(response.reference),
            percent(response.followed),
            plain(response.verdict),
        ]
        for pair in report.pairs
        for response in pair.responses
    ]
    if rows:
        yield table(columns, rows[:_ROWS_SHOWN])


def _bindings(report: Report) -> Iterator[str]:
    lines = [f"- binding: {plain(line, _TEXT_CHARS)}" for line in bindings.lines(report)]
    if lines:
        yield "\n".join(lines)


def _inputs(report: Report) -> str:
    inputs = report.inputs
    return (
        f"Inputs: {inputs.samples} samples of {plain(inputs.origin, _NAME_CHARS)}, sha256 "
        f"`{inputs.sha256[:12]}`. devdiff {plain(report.devdiff, 40)}."
    )


def _command(report: Report) -> str:
    """The command in a fence that nothing in it can close."""
    command = one_line(shlex.join(["devdiff", *report.command]), _COMMAND_CHARS)
    longest = max(map(len, re.findall("`+", command)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{command}\n{fence}"
