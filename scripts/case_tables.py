"""Runs the commands of docs/cases on the real models and prints what came of them."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from tests.models import case_files, case_runs

_KEPT: Final = Path("devdiff-cases")


def show(name: str, folder: Path) -> None:
    """Run one case and print its table, and what commands without a report said."""
    print(f"## {name}\n", flush=True)
    ran = [case_runs.run(command, folder) for command in case_runs.commands(name)]
    print(case_runs.table([row for run in ran for row in case_runs.rows(run)]))
    for run in ran:
        if message := case_runs.said(run):
            print(f"\n{run.command}\nexit code {run.exit_code}: {message}")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="cases (default: all)")
    parser.add_argument(
        "--prepare", action="store_true", help=f"only make {_KEPT}/NAME with models and inputs"
    )
    args = parser.parse_args()
    unknown = set(args.names) - set(case_files.CASES)
    if unknown:
        parser.error(
            f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(case_files.CASES)}"
        )
    for name in args.names or case_files.CASES:
        if args.prepare:
            case_files.prepare(name, _KEPT / name)
            print(_KEPT / name)
            continue
        with tempfile.TemporaryDirectory(prefix="devdiff-case-") as scratch:
            case_files.prepare(name, Path(scratch))
            show(name, Path(scratch))


if __name__ == "__main__":
    main()
