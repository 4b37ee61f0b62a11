"""Entry point of the ``devdiff`` command.

Nothing heavy is imported here or at the top of a verb's module: ``devdiff --help`` has to answer
at once, and frameworks belong into child processes anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.cli import signals

if TYPE_CHECKING:
    from collections.abc import Sequence

with signals.EndingQuietly():
    import argparse
    import sys

    from devdiff import __version__
    from devdiff.cli import (
        attest,
        bisect,
        check,
        clean,
        compare,
        completion,
        demo,
        devices,
        diff,
        doctor,
        export,
        export_and_test,
        failures,
        history,
        inputs,
        open_run,
        renamed,
        report,
        run,
        scan,
        streams,
        verify,
        virtual,
    )
    from devdiff.cli.groups import output
    from devdiff.cli.parsing import CommandLineError, Parser, parse, verb_of

_VERBS = (
    export_and_test,
    check,
    export,
    run,
    inputs,
    diff,
    compare,
    bisect,
    scan,
    report,
    open_run,
    attest,
    verify,
    history,
    clean,
    devices,
    virtual,
    doctor,
    completion,
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


def parser() -> Parser:
    """The whole command line; ``args.run`` is the chosen verb's function."""
    top = Parser(
        prog="devdiff",
        description="Test the model that ships, where it ships: export it, run it on every rung "
        "from the source model to the device, and say which step changed its answers.",
        epilog=_EPILOG,
    )
    top.add_argument("--version", action="version", version=f"devdiff {__version__}")
    output.add_verbosity(top)
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for verb in _VERBS:
        sub = verbs.add_parser(
            verb.NAME,
            help=verb.HELP,
            description=verb.HELP[0].upper() + verb.HELP[1:] + ".",
            epilog=verb.EXAMPLES,
        )
        verb.add_arguments(sub)
        for leaf in sub.leaves():
            # What was said before the command holds, unless it is said otherwise behind it.
            output.add_verbosity(leaf, default=argparse.SUPPRESS)
        sub.set_defaults(run=verb.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, which nothing about the streams can change.

    Without ``argv`` the process is taken for ours: its streams are made to survive, and SIGTERM and
    SIGHUP end a command as Ctrl-C does.
    """
    if argv is not None:
        return _run(argv)
    with streams.surviving():
        try:
            with signals.Interrupting():
                return _run(sys.argv[1:])
        except KeyboardInterrupt as interrupt:
            return failures.interrupted(interrupt)


def _run(argv: Sequence[str]) -> int:
    words = list(argv)
    grammar = parser()
    if not words:
        # Not a success: a command that a script lost would be green.
        grammar.print_help()
        return failures.USAGE
    verb = verb_of(grammar, words)
    if verb is not None:
        behind, notes = renamed.by_new_names(words[verb], words[verb + 1 :])
        words = [*words[: verb + 1], *behind]
        for text in notes:
            failures.note(text, words)
    try:
        args = parse(grammar, words)
    except CommandLineError as error:
        failures.say_usage(error, words)
        return failures.USAGE
    return failures.guard(args.run, args)


if __name__ == "__main__":
    sys.exit(main())
