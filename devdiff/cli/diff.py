"""``devdiff diff``: compare two sets of outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import gates, inputs, output, task

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "diff"
HELP: Final = "hold the outputs of two runs together, sample by sample, and judge the difference"
EXAMPLES: Final = """\
examples:
  devdiff diff outputs/source outputs/float --atol 1e-5 logits:1e-4
  devdiff diff outputs/host outputs/device --exact
  devdiff diff devdiff-runs/last-release devdiff-runs/this-one
  devdiff diff devdiff-runs/this-one:float devdiff-runs/this-one:device
  devdiff diff outputs/source outputs/int8 --task detection:format=yolo --truth coco.json

Each is a folder that devdiff run wrote, or the run directory of export-and-test, the reference
first; of a run directory the last rung is taken, unless another is named behind a colon. Two runs
of one quantized model are compared in steps (LSB), a float run with a quantized one by agreement
and SNR, others by tolerance. What changed from one finished run to the next (verdicts, accuracy,
latency, size, versions) is devdiff compare's business.
"""


def add_arguments(parser: Parser) -> None:
    group = parser.group("runs")
    for name in ("reference", "candidate"):
        group.add_argument(
            name, metavar=name.upper(), help="DIR, or DIR:RUNG with a rung of export-and-test"
        )
    inputs.add_labels(parser)
    gates.add(parser)
    task.add(parser)
    output.add_json(parser, "print the comparison as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.ladder.run_diff import DiffRequest, diff_runs
    from devdiff.report import task as measured
    from devdiff.report import terminal
    from devdiff.report.model import TaskSection
    from devdiff.system.typed_json import converted

    request = DiffRequest(
        args.reference,
        args.candidate,
        gates=gates.of(args),
        task=task.of(args),
        labels=args.labels,
        classes=args.classes,
    )
    with console.Narrator(args.verbosity) as narrator:
        outcome = diff_runs(request, narrator)
    pair = outcome.judged.pair
    if args.json:
        print(json.dumps(outcome.to_json(), indent=2))
    elif args.verbosity == output.QUIET:
        console.headline(outcome.verdict.value, f"{pair.reference} → {pair.candidate}")
    else:
        out = console.stdout()
        terminal.show_pair(outcome.judged, outcome.basis, out)
        if outcome.task is not None:
            out.print()
            measured.show(converted(TaskSection, outcome.task.to_json()), out)
    return outcome.verdict.exit_code
