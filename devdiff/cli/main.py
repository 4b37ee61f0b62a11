"""Entry point of the ``devdiff`` command.

Nothing heavy is imported here or at the top of a verb's module: ``devdiff --help`` has to answer
at once, and frameworks belong into child processes anyway.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from devdiff import __version__
from devdiff.cli import (
    check,
    demo,
    devices,
    diff,
    doctor,
    export,
    export_and_test,
    failures,
    report,
    run,
    scan,
    verify,
    virtual,
)

_VERBS = (
    export_and_test,
    check,
    export,
    run,
    diff,
    scan,
    report,
    verify,
    devices,
    virtual,
    doctor,
    demo,
)

_EPILOG = """\
exit codes: 0 pass · 1 fail · 2 usage or bad input · 3 device or infrastructure ·
            4 security finding · 5 inconclusive

examples:
  devdiff export-and-test model.onnx --inputs samples.npz
  devdiff export-and-test model.onnx --inputs photos/ --preprocess scale=1/255 --device local
  devdiff export model.onnx --out exported/
  devdiff demo check-reader
  devdiff doctor
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line; ``args.run`` is the chosen verb's function."""
    top = argparse.ArgumentParser(
        prog="devdiff",
        description="Test the model that ships, where it ships: export it, run it on every rung "
        "from the source model to the device, and say which step changed its answers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"devdiff {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for verb in _VERBS:
        sub = verbs.add_parser(
            verb.NAME,
            help=verb.HELP,
            description=verb.HELP[0].upper() + verb.HELP[1:] + ".",
            epilog=verb.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_arguments(sub)
        sub.set_defaults(run=verb.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. Only a fault of devdiff itself shows a traceback."""
    args = parser().parse_args(argv)
    return failures.guard(args.run, args)


if __name__ == "__main__":
    sys.exit(main())
