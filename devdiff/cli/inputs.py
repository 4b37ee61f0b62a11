"""``devdiff inputs``: the samples as a model will see them, before anything is exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.cli.groups import inputs, model, output

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

NAME: Final = "inputs"
HELP: Final = "look at samples as the model will see them, and at what is odd about them"
EXAMPLES: Final = """\
examples:
  devdiff inputs --inputs samples.npz --preprocess scale=1/255
  devdiff inputs --inputs photos/ --preprocess resize=224x224 --show
  devdiff inputs model.onnx --inputs samples.npz --labels labels.txt --show --out look.html

Nothing is exported. Without MODEL the samples are taken as they are; with it they are what it is
given in a run, and with labels it is asked about some of them. What is odd is a warning; exit
code 5 means that labels and inputs do not suit the model.
"""
_PAGE: Final = "devdiff-inputs.html"


def add_arguments(parser: Parser) -> None:
    model.add(parser, relatives=False, optional=True)
    inputs.add(parser)
    parser.group("output").add_argument(
        "--show", action="store_true", help=f"write a page with thumbnails, too ({_PAGE})"
    )
    output.add_out(parser, "where --show puts the page", metavar="FILE")
    output.add_json(parser, "print what there is as JSON")


def run(args: argparse.Namespace) -> int:
    from devdiff.cli import console
    from devdiff.errors import UsageError
    from devdiff.preview import page, terminal
    from devdiff.preview.look import LookRequest, look
    from devdiff.system.scratch import scratch_directory

    path = _page(args)
    if args.calibration is not None and args.inputs is None:
        raise UsageError(
            f"--calibration {args.calibration} is looked at beside --inputs: name them"
        )
    request = LookRequest(inputs.of(args), model.of(args) if args.model is not None else None)
    with scratch_directory("inputs") as folder:
        with console.Narrator(args.verbosity) as narrator:
            found = look(request, folder, narrator)
        if path is not None:
            page.write(found, path)
    if args.json:
        print(json.dumps(found.view.to_json(), indent=2))
    elif args.verbosity == output.QUIET:
        print(terminal.headline(found.view))
    else:
        terminal.show(found.view, console.stdout())
        if path is not None:
            print(f"page: {path}")
    return found.verdict.exit_code


def _page(args: argparse.Namespace) -> Path | None:
    """The page's file, if there is to be one. Raises `UsageError`."""
    from devdiff.errors import UsageError

    if args.model is None:
        for name in ("shape", "signature", "trust"):
            if getattr(args, name):
                raise UsageError(f"--{name} is for a model, and none is named: name the MODEL, too")
    if not args.show:
        if args.out is not None:
            raise UsageError(f"--out {args.out} is for the page: add --show, or leave it out")
        return None
    path: Path = args.out or Path(_PAGE)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: name a file in a folder that exists")
    return path
