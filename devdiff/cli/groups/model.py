"""Which model: the same options with the same meaning for every verb that takes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from devdiff.cli.parsing import Parser
    from devdiff.options import ModelSpec

_MODEL: Final = (
    ".onnx, .pt2 or .pt (PyTorch), .keras or .h5, a SavedModel folder, or a finished .tflite"
)


def add(
    parser: Parser,
    *,
    relatives: bool = True,
    floating: bool = True,
    optional: bool = False,
    model: str = _MODEL,
) -> None:
    """``relatives`` are the models beside a finished .tflite; without ``floating`` the source.
    ``optional``: the verb does without a model, too."""
    group = parser.group("model")
    nargs = "?" if optional else None
    group.add_argument("model", type=Path, metavar="MODEL", nargs=nargs, help=model)
    if relatives:
        group.add_argument(
            "--source",
            type=Path,
            metavar="MODEL",
            help="the source model (any but .tflite) that a finished .tflite MODEL was made from",
        )
    if relatives and floating:
        group.add_argument(
            "--float",
            dest="floating",
            type=Path,
            metavar="TFLITE",
            help="the float32 .tflite beside an int8 .tflite MODEL, for a rung of its own",
        )
    group.add_argument(
        "--shape",
        nargs="+",
        action="extend",
        default=[],
        metavar="INPUT:D0,D1,…",
        help="fix the dynamic axes of an input of the source model, as image:1,3,224,224",
    )
    group.add_argument(
        "--signature", metavar="NAME", help="which of a SavedModel's signatures to take"
    )
    group.add_argument(
        "--trust",
        action="store_true",
        help="let code in the model's file run (a pickled module, a Lambda layer): only if you "
        "trust whoever made it",
    )


def of(args: argparse.Namespace) -> ModelSpec:
    """Raises `UsageError` on a malformed shape."""
    from devdiff.options import ModelSpec

    return ModelSpec(
        args.model,
        source=getattr(args, "source", None),
        floating=getattr(args, "floating", None),
        shapes=shapes(args.shape),
        signature=args.signature,
        trust=args.trust,
    )


def shapes(values: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """``--shape`` as a mapping. Raises `UsageError` on a malformed one, or an input given twice."""
    from devdiff.errors import UsageError

    found: dict[str, tuple[int, ...]] = {}
    for value in values:
        name, _, dims = value.rpartition(":")
        try:
            shape = tuple(int(dim) for dim in dims.lower().replace("x", ",").split(","))
        except ValueError:
            name, shape = "", ()
        if not name:
            raise UsageError(f"--shape {value!r}: write INPUT:D0,D1,…, e.g. image:1,3,224,224")
        if name in found:
            raise UsageError(f"--shape {value!r}: the shape of {name} is given twice")
        found[name] = shape
    return found
