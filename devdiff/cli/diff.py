"""``devdiff diff``: compare two sets of outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli import arguments, limits

if TYPE_CHECKING:
    import argparse

NAME: Final = "diff"
HELP: Final = "compare the outputs of two runs and judge the difference"
EXAMPLES: Final = """\
examples:
  devdiff diff outputs/source outputs/float --atol 1e-5 logits:1e-4
  devdiff diff outputs/host outputs/device --exact

Both are folders that 'devdiff run' wrote, the reference first. Two runs of one quantized model are
compared in steps (LSB), a float run with a quantized one by agreement and SNR, others by tolerance.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", type=Path, metavar="REFERENCE")
    parser.add_argument("candidate", type=Path, metavar="CANDIDATE")
    limits.add_gates(parser)
    arguments.add_json(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.ladder.single_run import diff_runs
    from devdiff.report import terminal

    found = diff_runs(args.reference, args.candidate, limits.gates(args))
    if args.json:
        print(json.dumps({**found.judged.to_json(), "basis": found.basis}, indent=2))
    else:
        terminal.show_pair(found.judged, found.basis, console.stdout())
    return found.judged.judgement.verdict.exit_code
