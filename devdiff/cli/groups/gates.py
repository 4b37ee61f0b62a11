"""What may differ before a verdict is ``fail``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.cli.groups.values import given, number, positive, share, shown, whole
from devdiff.options import ATOL, DEFAULT_GATES, RTOL

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser
    from devdiff.options import Gates

_FIELDS: Final = {
    "atol": "atol",
    "rtol": "rtol",
    "min_agreement": "min_agreement",
    "min_snr": "min_snr_db",
    "min_variation_snr": "min_variation_snr_db",
    "min_samples": "min_samples",
    "max_lsb": "max_lsb",
    "exact": "exact",
    "classifier": "classifiers",
}
FIELDS_OF_TENSORS: Final = {"atol": "atol", "rtol": "rtol", "max_lsb": "max_lsb"}
"""Those that hold for any tensor on the way."""


def add(parser: Parser) -> None:
    add_tolerances(parser)
    group = parser.group("what is allowed")
    group.add_argument(
        "--min-agreement",
        type=share,
        metavar="SHARE",
        help="top-1 agreement a compressed classifier must reach "
        f"(default {shown(DEFAULT_GATES.min_agreement)})",
    )
    group.add_argument(
        "--min-snr",
        type=number,
        metavar="DB",
        help="signal-to-noise ratio other compressed outputs must reach "
        f"(default {shown(DEFAULT_GATES.min_snr_db)})",
    )
    group.add_argument(
        "--min-variation-snr",
        type=number,
        metavar="DB",
        help="the same with each element's mean over the samples taken away, for the whole output "
        f"and each kind of channels (default {shown(DEFAULT_GATES.min_variation_snr_db)})",
    )
    group.add_argument(
        "--min-samples",
        type=positive,
        metavar="N",
        help="tested samples without which numbers alone are no pass "
        f"(default {DEFAULT_GATES.min_samples}, which see a fault that hits a third of the inputs)",
    )
    group.add_argument(
        "--max-lsb",
        type=whole,
        metavar="N",
        help="steps an int8 element may differ between host and device "
        f"(default {DEFAULT_GATES.max_lsb})",
    )
    group.add_argument(
        "--exact",
        action="store_true",
        default=None,
        help="no element may differ between host and device",
    )
    add_classifier(parser)


def add_tolerances(parser: Parser) -> None:
    group = parser.group("what is allowed")
    group.add_argument(
        "--atol",
        nargs="+",
        action="extend",
        default=[],
        metavar="[OUTPUT:]VALUE",
        help="absolute tolerance between float rungs, for all or one output "
        f"(default {shown(ATOL)})",
    )
    group.add_argument(
        "--rtol",
        nargs="+",
        action="extend",
        default=[],
        metavar="[OUTPUT:]VALUE",
        help="tolerance relative to the output's peak on the reference rung "
        f"(default {shown(RTOL)})",
    )


def add_classifier(parser: Parser) -> None:
    parser.group("what is allowed").add_argument(
        "--classifier",
        nargs="+",
        action="extend",
        default=[],
        metavar="OUTPUT",
        help="outputs that are class scores (default: found by labels, or by softmax outputs)",
    )


def of(args: argparse.Namespace) -> Gates:
    """The limits of the options that the verb has."""
    from devdiff.options import Gates

    fields = {name: field for name, field in _FIELDS.items() if name in vars(args)}
    return Gates(**given(args, fields))
