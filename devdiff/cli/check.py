"""``devdiff check``: everything a devdiff.toml names, tested and judged."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import baseline, evidence, inputs, output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from devdiff.cli.parsing import Parser
    from devdiff.gate.baseline_file import Baseline
    from devdiff.gate.check import CheckOutcome
    from devdiff.gate.config import Cell, Config
    from devdiff.options import Rules
    from devdiff.progress import Events

NAME: Final = "check"
HELP: Final = "test every model that devdiff.toml names, and exit by the worst verdict"
EXAMPLES: Final = """\
examples:
  devdiff check --init model.onnx --inputs samples.npz
  devdiff check
  devdiff check reader --device emulator-5554
  devdiff check --write-baseline devdiff-baseline.json
  devdiff check --baseline devdiff-baseline.json --junit check.xml

The configuration is the nearest devdiff.toml, or pyproject.toml with [tool.devdiff], from here
upward. Each model × compression × device has a run directory of its own in the check directory
(devdiff-checks/… unless --out names one), with check.json and a page of all, check.html, beside
them; a check that was interrupted, or ended in an error, continues when the same command is given
again. With a baseline
only what got worse fails, and errors. A pass on synthetic samples, or on fewer than --min-samples,
is inconclusive unless it is accepted. Where GITHUB_STEP_SUMMARY is set, the Markdown summary is
appended to that file. In CI, a configuration that names code to run is refused without
--trust-config.
"""


_INIT_OPTIONS: Final = ("inputs", "labels", "classes", "calibration", "preprocess")


def add_arguments(parser: Parser) -> None:
    group = parser.group("configuration")
    group.add_argument(
        "names", nargs="*", metavar="NAME", help="models of the configuration (default: all)"
    )
    group.add_argument("--config", type=Path, metavar="FILE", help="the configuration to use")
    group.add_argument(
        "--list", action="store_true", help="show what would be run, and run nothing"
    )
    group.add_argument(
        "--init",
        action="store_true",
        help="write a devdiff.toml to begin with, of the model file NAME if one is given with its "
        "--inputs, and run nothing",
    )
    trust = group.add_mutually_exclusive_group()
    trust.add_argument(
        "--trust-config",
        action="store_true",
        help="in CI, run the code that the configuration names: loaders, runtime libraries, models "
        "with trust = true",
    )
    trust.add_argument(
        "--trust-config-sha256",
        metavar="SHA256",
        help="run it only if it is what has this SHA-256, which --list shows",
    )
    parser.group("input set", "what --init writes down")
    inputs.add(parser, seed=False, limit=False)
    inputs.add_limit(parser)
    parser.group("where it runs").add_argument(
        "--device",
        action="append",
        default=[],
        metavar="DEVICE",
        help="run on this device instead of the configuration's; may be given again",
    )
    evidence.add(parser)
    baseline.add(parser)
    parser.group("baseline").add_argument(
        "--write-baseline",
        type=Path,
        metavar="FILE",
        help="when all is run, keep what came out as the baseline of later checks",
    )
    group = parser.group("formats", "each whole or not at all")
    group.add_argument(
        "--junit", type=Path, metavar="FILE", help="JUnit XML: a test case for each run"
    )
    group.add_argument("--markdown", type=Path, metavar="FILE", help="a summary for a pull request")
    group.add_argument(
        "--sarif", type=Path, metavar="DIR", help="SARIF 2.1.0: a file for each run that scanned"
    )
    output.add_out(parser, "where this check and its runs are kept (default devdiff-checks/…)")
    output.add_json(parser, "print check.json")
    output.add_open(parser)


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console, pages
    from devdiff.errors import UsageError
    from devdiff.gate import check, config_file, terminal, trust
    from devdiff.gate.config import Config

    if args.init:
        return _init(args, args.config or Path(config_file.CONFIG_NAME))

    def note(text: str) -> None:
        if args.verbosity != output.QUIET:
            print(f"devdiff: note: {text}", file=sys.stderr)

    for name in _INIT_OPTIONS:
        if getattr(args, name):
            raise UsageError(
                f"--{name} is for --init: devdiff.toml names the inputs of every model itself"
            )
    config = Config.load(args.config or config_file.find(Path.cwd()), note)
    entries = config.chosen(args.names, args.device)
    cells = [
        dataclasses.replace(
            cell.limited(args.limit), requirements=evidence.of(args, cell.requirements)
        )
        for entry in entries
        for cell in entry.cells()
    ]
    code = trust.code_in(entries)
    if args.list:
        terminal.show_matrix(cells, console.stdout())
        if code:
            terminal.show_code(code, trust.digest(config), console.stdout())
        return 0
    trust.check(config, code, args.trust_config, args.trust_config_sha256)
    held_to, rules = _baseline(args, config, note)
    _check_writable(args)
    with console.Narrator(args.verbosity) as narrator:
        if code:
            narrator.note(f"{config.path.name} runs code: {trust.listed(code)}")
        outcome = check.run_check(
            cells,
            args.out,
            narrator,
            held_to=held_to,
            rules=rules,
            config=config.path,
            command=tuple(sys.argv[1:]),
        )
        _let_go(config, outcome.directory, narrator)
    if args.json:
        print(json.dumps(outcome.record.to_json(), indent=2))
    elif args.verbosity == output.QUIET:
        console.headline(outcome.verdict.value, outcome.record.summary)
    else:
        out = console.stdout()
        terminal.show(outcome.record, out, outcome.directory)
        pages.name(outcome.page, out)
        out.repeat(outcome.verdict.value, outcome.record.summary)
    _write_formats(args, outcome)
    if args.write_baseline is not None:
        _write_baseline(args, cells, outcome)
    pages.show(outcome.page, args)
    return outcome.verdict.exit_code


def _init(args: argparse.Namespace, path: Path) -> int:
    from devdiff.errors import UsageError
    from devdiff.gate import starting

    if len(args.names) > 1:
        raise UsageError(f"--init writes one model: {args.names[0]}, or {args.names[1]}?")
    model = Path(args.names[0]) if args.names else None
    data = {name: getattr(args, name) for name in _INIT_OPTIONS}
    given = next((name for name, value in data.items() if value), None)
    if args.limit is not None:
        raise UsageError(f"--limit {args.limit} is for a check, and --init runs none: leave it out")
    if model is None and given is not None:
        raise UsageError(f"--init --{given} {data[given]}: name the MODEL, too")
    if model is not None and data["inputs"] is None:
        raise UsageError(f"--init {model}: name its samples, too, with --inputs")
    starting.write(path, model, data)
    if args.verbosity == output.QUIET:
        return 0
    if model is None:
        print(f"{path}: name your model and its samples there, then run devdiff check")
    else:
        print(f"{path}: tests {model} on {data['inputs']}; now run devdiff check")
    return 0


def _let_go(config: Config, current: Path, events: Events) -> None:
    """Remove earlier checks that the configuration's retention lets go; ``current`` stays.

    The verdict does not depend on it: what cannot be removed is only a note.
    """
    from devdiff.errors import UsageError
    from devdiff.gate.check import DEFAULT_ROOT
    from devdiff.housekeeping import clean
    from devdiff.report.words import size

    if config.retention.unlimited or not DEFAULT_ROOT.is_dir():
        return
    protected = {current / "check.json": "it is this check", **config.protected}
    try:
        cleaned = clean.plan([DEFAULT_ROOT], config.retention, protected=protected)
        cleaned = clean.carry_out(cleaned)
    except (UsageError, OSError) as error:
        events.note(f"no earlier check was removed: {error}")
        return
    for failure in cleaned.failed:
        events.note(failure)
    gone = len(cleaned.going) - len(cleaned.failed)
    if gone:
        events.note(
            f"[retention]: {gone} earlier check{'' if gone == 1 else 's'} removed from "
            f"{DEFAULT_ROOT}, {size(cleaned.going_bytes)}"
        )


def _baseline(
    args: argparse.Namespace, config: Config, note: Callable[[str], None]
) -> tuple[Baseline | None, Rules]:
    """The baseline and the rules: the options, else what the configuration says.

    A check that writes the configuration's own baseline is not held to it, nor is a limited one,
    which runs on other samples.
    """
    from devdiff.gate.baseline_file import Baseline

    path = args.baseline
    baseline.check_beside(args, path or config.baseline)
    if path is None and args.write_baseline is None and config.baseline is not None:
        if args.limit is None:
            path = config.baseline
        else:
            note(f"--limit: not held to {config.baseline.name}, which is of all samples")
    return (Baseline.load(path) if path else None), baseline.rules(args, config.rules)


def _check_writable(args: argparse.Namespace) -> None:
    """A look before hours are spent. Raises `UsageError`."""
    from devdiff.errors import UsageError

    for option in ("write_baseline", "junit", "markdown"):
        path = getattr(args, option)
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            flag = option.replace("_", "-")
            raise UsageError(f"--{flag} {path}: name a file in a folder that exists")
    if args.sarif is not None and args.sarif.exists() and not args.sarif.is_dir():
        raise UsageError(
            f"--sarif {args.sarif} is a file: name a folder, one file a run goes there"
        )


def _write_formats(args: argparse.Namespace, outcome: CheckOutcome) -> None:
    """What other programs read; the summary of a GitHub workflow's step is never in the way."""
    from devdiff.gate import junit, markdown
    from devdiff.report import load, sarif

    if args.junit is not None:
        junit.write(outcome.record, args.junit)
    if args.markdown is not None:
        markdown.write(outcome.record, args.markdown)
    if args.sarif is not None:
        args.sarif.mkdir(parents=True, exist_ok=True)
        for cell in outcome.record.cells:
            facts = outcome.facts.get(cell.name)
            if cell.report is not None and facts is not None and facts.scan is not None:
                report = load.load(outcome.directory / cell.report)
                sarif.write(report, args.sarif / f"{cell.directory}.sarif")
    try:
        markdown.append_step_summary(outcome.record)
    except OSError as error:
        print(f"note: no summary of this step: {error}", file=sys.stderr)


def _write_baseline(args: argparse.Namespace, cells: Sequence[Cell], outcome: CheckOutcome) -> None:
    """Keep what ran; an error has nothing that a later check could be held to."""
    from devdiff.gate import baseline_file
    from devdiff.verdict import Verdict

    known = {
        name: facts for name, facts in outcome.facts.items() if facts.verdict is not Verdict.ERROR
    }
    left_out = [cell.name for cell in cells if cell.name not in known]
    if not known:
        print("devdiff: no baseline was written: nothing ran without an error", file=sys.stderr)
        return
    path: Path = args.write_baseline
    baseline_file.write(path, known)
    if args.verbosity == output.QUIET:
        return
    missing = f"; without {', '.join(left_out)}, which ended in an error" if left_out else ""
    print(f"baseline: {path} ({len(known)} of {len(cells)} cells{missing})", file=sys.stderr)
