"""How the model is made smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.exporter.compression import Compression


def add(parser: Parser) -> None:
    from devdiff.exporter.recipe import BUILTIN, INT8

    group = parser.group("compression")
    group.add_argument(
        "--compress",
        metavar="HOW",
        help=f"{INT8.name} (default), prune:RATE (each layer's smallest weights), "
        "channel-prune:RATE (each layer's weakest channels), either with a recipe behind "
        f"(prune:0.5+{INT8.name}), or none",
    )
    others = ", ".join(name for name in BUILTIN if name != INT8.name)
    group.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help=f"how weights and activations are quantized: {INT8.name} (default), {others}, or a "
        "JSON file",
    )


def every(args: argparse.Namespace) -> tuple[Compression, ...]:
    """``--compress`` with each ``--recipe``; empty where both were left out.

    Raises `CompressionError` for what does not exist or does not go together.
    """
    from devdiff.exporter import recipe
    from devdiff.exporter.compression import Compression, with_recipes

    chosen = () if args.compress is None else (Compression.parse(args.compress),)
    return with_recipes(chosen, [recipe.parse(text) for text in args.recipe])


def only(args: argparse.Namespace) -> Compression | None:
    """The one compression that was asked for, None where it was left out.

    Raises what `every` raises, and `UsageError` for several.
    """
    from devdiff.errors import UsageError

    found = every(args)
    if len(found) > 1:
        raise UsageError(f"devdiff {args.verb} takes one --recipe")
    return found[0] if found else None
