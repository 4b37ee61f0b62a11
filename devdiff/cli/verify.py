"""``devdiff verify``: whether the models in a package are those that were tested."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

NAME: Final = "verify"
HELP: Final = "check before the store that every model in an app was tested"
EXAMPLES: Final = """\
examples:
  devdiff verify app.apk --report devdiff-runs/20260101-120000-model
  devdiff verify app.aab --report reader.json detector.json --strict-runtime --strict-pages
  devdiff verify app.xapk --report report.json --json

Every model in the package is looked up by its SHA-256 among those that the reports tested. An
untested model is a fail (exit code 1); a tested one counts with its report's verdict, and the
gravest verdict is the package's. Runtime libraries, page sizes and compressed models are warnings.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "package", type=Path, metavar="PACKAGE", help="an .apk, .aab, .aar, .apks or .xapk"
    )
    parser.add_argument(
        "--report",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        metavar="RUN_DIR|report.json",
        help="what tested the models: finished runs; may be given more than once",
    )
    parser.add_argument(
        "--strict-runtime",
        action="store_true",
        help="fail, too, when a runtime library in the package is not one a test ran with, or when "
        "there is none",
    )
    parser.add_argument(
        "--strict-pages",
        action="store_true",
        help="fail, too, when a native library cannot be loaded with pages of 16 KiB",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.gate.package import Strictness, Tested, terminal, verify_package

    tested = Tested.from_reports(args.report)
    strictness = Strictness(runtime=args.strict_runtime, pages=args.strict_pages)
    with console.Narrator() as narrator:
        narrator.phase(f"reading {args.package.name}")
        check = verify_package(args.package, tested, strictness)
    if args.json:
        print(json.dumps(check.to_json(), indent=2))
    else:
        terminal.show(check, console.stdout())
    return check.verdict.exit_code
