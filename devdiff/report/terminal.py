"""The report for people: the verdict first, then a table of the steps, then what ran."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from devdiff.report import (
    basis,
    bindings,
    data_check,
    flips,
    headline,
    next_steps,
    parts,
    scan,
    task,
    words,
)
from devdiff.report.build import pair_record
from devdiff.report.class_words import ClassWords
from devdiff.report.model import RungRecord
from devdiff.report.parts import escape, say
from devdiff.system.typed_json import converted
from devdiff.verdict import combine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from devdiff.comparison import Proportion
    from devdiff.exporter.manifest import Manifest, PrunedSource
    from devdiff.ladder.judge import JudgedPair
    from devdiff.report.model import BasisRecord, PairRecord, Report

_FLIPS_SHOWN: Final = 3
_FLAT_SHARE: Final = 0.1
# Steps between two .tflite files.
_BISECTED: Final = ("deployment", "compression")


def show(report: Report, out: Console, path: Path) -> None:
    """Print a whole report; ``path`` is where its JSON lies."""
    show_verdict(report, out)
    _grounds(report, out)
    out.print()
    _steps(report.pairs, out)
    _reasons(report.pairs, out)
    _dependence(report.pairs, out)
    if report.data_check is not None:
        data_check.show(report.data_check, out)
    _flips(report, out)
    _flat(report.pairs, out)
    if report.attribution and report.attribution.step in _BISECTED:
        out.print(f"which operator: devdiff bisect {escape(str(path.parent))}", soft_wrap=True)
    for step in next_steps.next_steps(report):
        say(escape(f"next: {step}"), out)
    out.print()
    if report.scan is not None:
        scan.show(report.scan, out)
    if report.task is not None:
        task.show(report.task, out)
    _rungs(report.rungs, out, accuracies(report.pairs))
    for rung in report.rungs:
        device = rung.identity.phone
        if device is not None and device.virtual:
            say(
                f"note: {escape(device.serial)} is Linux with glibc on an emulated ARM64 CPU, not "
                "Android; its timings say nothing about phones",
                out,
            )
    out.print()
    if report.manifest is not None:
        _pruned(report.manifest.pruned, out)
    inputs = report.inputs
    say(
        f"inputs: {inputs.samples} samples of {escape(inputs.origin)}, "
        f"sha256 {inputs.sha256[:12]}; calibration: {escape(inputs.calibration.origin)}",
        out,
    )
    for line in bindings.lines(report):
        say(f"binding: {escape(line)}", out)
    for note in (*inputs.notes, *(report.manifest.notes if report.manifest is not None else ())):
        say(f"note: {escape(note)}", out)
    out.print(f"report: {escape(str(path))}", soft_wrap=True)


def _grounds(report: Report, out: Console) -> None:
    """What the verdict comes from and stands on, and what looks wrong about the inputs."""
    if (cause := headline.cause(report)) is not None:
        say(escape(cause), out)
    say(escape(basis.sentence(report.basis)), out)
    for warning in report.inputs.warnings:
        mark = f"[{parts.STYLES['inconclusive']}]warning:[/]"
        say(f"{mark} {escape(str(warning))}", out)


def show_verdict(report: Report, out: Console) -> None:
    """Print a report's first line alone."""
    parts.headline(report.verdict, title(report), out)


def title(report: Report) -> str:
    """What was tested, and what it came to."""
    return f"{report.model.name}: {report.summary}"


def show_export(
    manifest: Manifest,
    folder: Path,
    conversions: Sequence[JudgedPair],
    stands_on: BasisRecord,
    out: Console,
) -> None:
    """Print what an export made, how its conversions were judged, and on what basis."""
    pairs = [pair_record(judged) for judged in conversions]
    verdict = combine(judged.judgement.verdict for judged in conversions).value
    sentence = {
        "pass": "converted, and the float artifact answers like the source",
        "inconclusive": "converted, and compared on too few samples to be sure of it",
    }
    parts.headline(verdict, sentence.get(verdict, "the conversion is not to be trusted"), out)
    say(escape(basis.sentence(stands_on)), out)
    out.print()
    _steps(pairs, out)
    _reasons(pairs, out)
    out.print()
    table = parts.table("artifact", "size", "operators", "in float", "sha256")
    for record in manifest.artifacts:
        table.add_row(
            escape(str(folder / record.file)),
            f"{record.bytes / 1e6:.2f} MB",
            str(sum(record.operators.values())),
            str(sum(record.float_operators.values()))
            if record.recipe.precision != "float32"
            else "",
            record.sha256[:12],
        )
    out.print(table)
    _pruned(manifest.pruned, out)
    for note in manifest.notes:
        say(f"note: {escape(note)}", out)


def show_run(record: Mapping[str, Any], folder: Path, out: Console) -> None:
    """Print what a single run did."""
    _rungs([converted(RungRecord, record["rung"])], out)
    out.print(f"outputs: {escape(str(folder))}", soft_wrap=True)


def show_pair(judged: JudgedPair, stands_on: BasisRecord, out: Console) -> None:
    """Print one comparison, and what its verdict stands on."""
    pair = pair_record(judged)
    reasons = pair.judgement.reasons
    parts.headline(pair.judgement.verdict, f"{pair.reference} → {pair.candidate}", out)
    say(escape(basis.sentence(stands_on)), out)
    out.print()
    _steps([pair], out)
    if reasons:
        _reasons([pair], out)


def _pruned(pruned: PrunedSource | None, out: Console) -> None:
    """How much pruning took, in one line."""
    if pruned is None:
        return
    count = sum(layer.weights for layer in pruned.layers)
    channels = [layer for layer in pruned.layers if layer.channels is not None]
    gone = sum(layer.zero_channels or 0 for layer in channels)
    of_channels = f", {gone} of {sum(layer.channels or 0 for layer in channels)} channels"
    say(
        f"pruned ({pruned.pruning}): {100 * pruned.sparsity:.1f} % of {count} weights are zero"
        f"{of_channels if channels else ''} in {len(pruned.layers)} layers",
        out,
    )


def _steps(pairs: Sequence[PairRecord], out: Console) -> None:
    """A row for each output of each step."""
    table = parts.table(
        "step",
        "rungs",
        "output",
        "max error",
        "SNR dB",
        "of variation",
        "top-1 agreement",
        "differing",
        "verdict",
    )
    for pair in pairs:
        verdict = pair.judgement.verdict
        shown = f"[{parts.STYLES[verdict]}]{verdict}[/]" if pair.gates else f"({verdict})"
        head: tuple[str, str] = (pair.step, f"{pair.reference} → {pair.candidate}")
        comparison = pair.comparison
        if comparison is None:
            table.add_row(*head, "", "", "", "", "", "", shown)
            continue
        agreement = {c.output: c.top_1 for c in comparison.classifications}
        for output in comparison.outputs:
            table.add_row(
                *head,
                escape(output.name),
                words.largest_error(output),
                decibels(output.snr_db),
                decibels(output.variation_snr_db),
                words.proportion(agreement.get(output.name)),
                words.differing(output),
                shown,
            )
            head, shown = ("", ""), ""
    out.print(table)


def decibels(value: float | None) -> str:
    """A level of the report, or a dash where there is none."""
    if value is None:
        return words.MISSING
    return "∞" if math.isinf(value) else f"{value:.1f}"


def _reasons(pairs: Sequence[PairRecord], out: Console) -> None:
    for pair in pairs:
        verdict = pair.judgement.verdict
        if verdict == "pass" or not pair.gates:
            continue
        mark = f"[{parts.STYLES[verdict]}]{verdict}[/]"
        for reason in pair.judgement.reasons:
            say(f"{mark} {pair.step}: {escape(reason)}", out)


def _dependence(pairs: Sequence[PairRecord], out: Console) -> None:
    """How much of each answer to an exchanged input every step follows."""
    checked = [pair for pair in pairs if pair.responses]
    if not checked:
        return
    table = parts.table("input exchanged", "output", *(f"followed in {p.step}" for p in checked))
    rows: dict[tuple[str, str], list[str]] = {}
    for place, pair in enumerate(checked):
        for response in pair.responses:
            row = rows.setdefault((response.input, response.output), ["-"] * len(checked))
            if response.followed is not None:
                share = f"{100 * response.followed:.3g} %"
                style = parts.STYLES["fail"]
                row[place] = share if response.verdict == "pass" else f"[{style}]{share}[/]"
    for (name, output), row in rows.items():
        table.add_row(escape(name), escape(output), *row)
    out.print()
    out.print(table)


def _flat(pairs: Sequence[PairRecord], out: Console) -> None:
    """What a ratio over all elements hides: values that int8 leaves a single step."""
    for pair in pairs:
        comparison = pair.comparison
        if comparison is None or pair.step not in ("compression", "conversion+compression"):
            continue
        scores = {answers.output for answers in comparison.classifications}
        for output in comparison.outputs:
            flat, total = output.flat_positions or 0, math.prod(output.shape)
            if output.name not in scores and flat >= _FLAT_SHARE * total:
                say(
                    f"note: {flat} of {total} elements of {escape(output.name)} vary on "
                    f"{pair.reference} and never on {pair.candidate}: one scale of "
                    f"{output.candidate.scale:.3g} is too coarse for them",
                    out,
                )


def _flips(report: Report, out: Console) -> None:
    """The changed answers of each step, those that do harm first, with their row of the data."""
    class_words = ClassWords(report)
    for pair in report.pairs:
        comparison = pair.comparison
        if comparison is None or not pair.gates:
            continue
        for answers in comparison.classifications:
            for flip, effect in flips.ranked(answers, report.samples)[:_FLIPS_SHOWN]:
                sample = report.samples[str(flip.sample)]
                before, after, label = (
                    class_words(index, answers.output)
                    for index in (flip.reference_class, flip.candidate_class, sample.label)
                )
                true = "" if sample.label is None else f", true class {label}"
                done = "" if effect == "changed" else f", {effect}"
                name = sample.name or f"row {sample.row}"
                say(
                    escape(f"flip  {pair.step}: {name} {before} → {after}{true}{done}")
                    + (" (exact tie)" if flip.tie else ""),
                    out,
                )


def accuracies(pairs: Sequence[PairRecord]) -> dict[str, str]:
    """Accuracy of each rung on the labelled output, with its interval."""
    found: dict[str, str] = {}
    for pair in pairs:
        for answers in pair.classifications:
            if answers.accuracy is not None:
                found.setdefault(pair.reference, share(answers.accuracy.reference))
                found.setdefault(pair.candidate, share(answers.accuracy.candidate))
    return found


def share(value: Proportion) -> str:
    """A proportion of the report in per cent, with its interval."""
    if not value.trials:
        return "-"
    rate = 100 * value.successes / value.trials
    return f"{rate:.2f} % ({100 * value.low:.1f}–{100 * value.high:.1f})"


def _rungs(
    rungs: Sequence[RungRecord], out: Console, accuracy: Mapping[str, str] | None = None
) -> None:
    columns = ["rung", "what ran", "model sha256", "samples", "ms/sample"]
    table = parts.table(*columns, *(["accuracy"] if accuracy else []))
    for rung in rungs:
        samples = str(rung.samples)
        if rung.failed:
            samples += f" ({rung.failed} failed)"
        median = rung.time.median_ms
        table.add_row(
            rung.name,
            escape(rung.error or _ran(rung)),
            rung.model.sha256[:12],
            samples,
            "-" if median is None else f"{median:.3g}",
            *([accuracy.get(rung.name, "-")] if accuracy else []),
        )
    out.print(table)


def _ran(rung: RungRecord) -> str:
    """Runtime, version, delegate and threads, in the runner's own words."""
    library, device = rung.identity.library, rung.identity.phone
    name, version = rung.reported("runtime") or rung.reported("api"), rung.runtime_version
    parts = [f"{name} {version or 'version unknown'}"]
    if library is not None:
        parts = [f"{library.origin} ({rung.reported('api')} API)"]
    if device is not None:
        parts.insert(0, f"{device.serial} ({device.model})")
    delegate, taken = rung.reported("delegate"), rung.reported("nodes_delegated")
    if delegate is not None:
        nodes = f" {taken}/{rung.reported('nodes_total')} nodes" if taken is not None else ""
        parts.append(f"no delegate{nodes}" if delegate == "none" else f"{delegate.upper()}{nodes}")
    threads = rung.reported("threads")
    parts.append(f"{threads} thread{'' if threads == '1' else 's'}")
    return ", ".join(parts)
