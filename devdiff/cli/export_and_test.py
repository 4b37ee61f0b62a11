"""``devdiff export-and-test``: the main job, from a model to a verdict."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import (
    baseline,
    compression,
    gates,
    inputs,
    model,
    output,
    running,
    scan,
    task,
)
from devdiff.cli.report import summarize

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.exporter.compression import Compression
    from devdiff.gate.baseline_file import Baseline
    from devdiff.gate.summary import Facts
    from devdiff.ladder.request import LadderOutcome, LadderRequest

NAME: Final = "export-and-test"
HELP: Final = "export a model, run it on every rung up to the device, compare, and give a verdict"
EXAMPLES: Final = """\
examples:
  devdiff export-and-test model.onnx --inputs samples.npz
  devdiff export-and-test model.pt2 --inputs photos/ --calibration train-photos/
  devdiff export-and-test saved_model/ --signature encode --inputs samples.npz
  devdiff export-and-test model.onnx --inputs samples.npz --compress prune:0.5+int8
  devdiff export-and-test model.onnx --inputs samples.npz --recipe int8 --recipe float16
  devdiff export-and-test model.onnx --inputs photos/ --task detection:format=yolo --truth coco.json
  devdiff export-and-test model.tflite --source model.onnx --inputs samples.npz --exact
  devdiff export-and-test model.onnx --shape image:1,3,224,224 --json > report.json
  devdiff export-and-test model.onnx --inputs samples.npz --baseline last-release/report.json

The run directory (devdiff-runs/… unless --out names one) keeps artifacts, results,
report.json and report.html; a run that was interrupted continues when the same
command is given again. With a baseline only what got worse fails, and errors; what came of it is
also in baseline.json there.
"""


def add_arguments(parser: Parser) -> None:
    model.add(parser)
    compression.add(parser)
    inputs.add(parser)
    running.add(parser)
    gates.add(parser)
    task.add(parser)
    scan.add(parser, optional=True)
    baseline.add(parser)
    output.add_out(parser, "where this run is kept (default devdiff-runs/…)")
    output.add_json(parser)
    output.add_open(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.gate.baseline_file import Baseline
    from devdiff.ladder.request import LadderRequest

    _check_meaning(args)
    held_to = Baseline.load(args.baseline) if args.baseline else None
    compressions = compression.every(args)
    request = LadderRequest(
        model=model.of(args),
        compression=compressions[0] if compressions else None,
        data=inputs.of(args),
        running=running.of(args),
        gates=gates.of(args),
        scan=scan.of(args) if args.scan else None,
        task=task.of(args),
    )
    if len(compressions) > 1:
        return _compare(args, request, compressions)
    return run_test(args, request, held_to)


def _check_meaning(args: argparse.Namespace) -> None:
    """Raises `UsageError` for options that ask for what would not be done."""
    if not args.scan:
        scan.check_no_scan(args)
    inputs.check_calibration(args)
    baseline.check_beside(args, args.baseline)


def _compare(
    args: argparse.Namespace, request: LadderRequest, compressions: tuple[Compression, ...]
) -> int:
    """Test each recipe with a narrator and show them side by side."""
    from devdiff.cli import console
    from devdiff.errors import UsageError
    from devdiff.recipes import record, terminal
    from devdiff.recipes.trial import run_trial

    if args.baseline:
        raise UsageError("--baseline holds one run: give one --recipe, or use devdiff check")
    if args.open:
        raise UsageError("--open shows the page of one run: devdiff open RUN afterwards")
    with console.Narrator(args.verbosity) as narrator:
        outcome = run_trial(request, compressions, args.out, narrator, tuple(sys.argv[1:]))
    if args.json:
        sys.stdout.write((outcome.directory / record.RECORD_NAME).read_text())
    elif args.verbosity == output.QUIET:
        console.headline(outcome.verdict.value, f"{request.model.path.name}: {outcome.directory}")
    else:
        out = console.stdout()
        terminal.show(outcome.record, out, outcome.directory, outcome.plot)
        out.repeat(outcome.verdict.value, terminal.title(outcome.record))
    return outcome.verdict.exit_code


def run_test(
    args: argparse.Namespace, request: LadderRequest, held_to: Baseline | None = None
) -> int:
    """Run a test with a narrator and show its report, and what came of it since a baseline."""
    from devdiff.cli import console, pages
    from devdiff.ladder.pipeline import export_and_test
    from devdiff.report import terminal

    before = held_to.of_run() if held_to else None
    with console.Narrator(args.verbosity) as narrator:
        outcome = export_and_test(request, args.out, narrator, tuple(sys.argv[1:]))
    if args.json:
        sys.stdout.write((outcome.directory / "report.json").read_text())
    elif args.verbosity == output.QUIET:
        if held_to is None:
            terminal.show_verdict(outcome.report, console.stdout())
    else:
        out = console.stdout()
        terminal.show(outcome.report, out, outcome.directory / "report.json")
        pages.name(outcome.page, out)
        if held_to is None:
            out.repeat(outcome.verdict.value, terminal.title(outcome.report))
    summarize(outcome.report)
    code = outcome.exit_code
    if held_to is not None and before is not None:
        code = _hold(args, request, outcome, held_to, before)
    pages.show(outcome.page, args)
    return code


def _hold(
    args: argparse.Namespace,
    request: LadderRequest,
    outcome: LadderOutcome,
    held_to: Baseline,
    before: Facts,
) -> int:
    """Judge a finished run by what got worse; returns the exit code."""
    from devdiff.cli import console
    from devdiff.gate import baseline as gate
    from devdiff.gate import terminal
    from devdiff.gate.summary import Facts
    from devdiff.ladder.run_directory import write_json

    held = gate.hold(Facts.of(outcome.report), before, baseline.rules(args))
    comparison = {"baseline": str(held_to.path), "sha256": held_to.sha256, **held.to_json()}
    write_json(outcome.directory / "baseline.json", comparison)
    if args.verbosity == output.QUIET and not args.json:
        name = request.model.path.name
        console.headline(held.verdict.value, f"{name}: held to {held_to.path}")
    elif not args.json:
        terminal.show_baseline_result(held, held_to.path, console.stdout())
    return held.verdict.exit_code
