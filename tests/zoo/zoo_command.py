"""``scripts/zoo``: makes the models of the zoo and lists what they turned out to be."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.system.cache import cache_root
from tests.zoo import making, zoo_digits
from tests.zoo.catalogue import MODELS, ZooModel, more_backdoored, more_honest

if TYPE_CHECKING:
    from pathlib import Path


def zoo_root() -> Path:
    """Where the made models lie, one folder each, beside the held-out ``images.npz``."""
    return cache_root() / "zoo"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/zoo", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("make", help="train, export and measure models")
    make.add_argument("names", nargs="*", metavar="NAME", help="all that are missing, if left out")
    make.add_argument(
        "--honest", type=int, default=0, metavar="N", help="also N further honest models"
    )
    make.add_argument(
        "--backdoored", type=int, default=0, metavar="N", help="also N further backdoored models"
    )
    make.add_argument("--jobs", type=int, default=1, metavar="N", help="processes side by side")
    verbs.add_parser("list", help="print what there is")
    options = parser.parse_args(arguments)
    if options.verb == "list":
        print_table()
        return 0
    more = (*more_honest(options.honest), *more_backdoored(options.backdoored))
    known = {spec.name: spec for spec in (*MODELS, *more)}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no model {', '.join(unknown)}; there are {', '.join(known)}")
    # Those that are named, whether they are there or not; else all that are missing.
    chosen = [known[name] for name in options.names]
    wanted = more if chosen else tuple(known.values())
    chosen += [
        spec
        for spec in wanted
        if spec not in chosen and not (zoo_root() / spec.name / making.TRUTH).exists()
    ]
    save_images()
    if options.jobs == 1:
        made = [make_one(spec) for spec in chosen]
    else:
        with ProcessPoolExecutor(options.jobs) as pool:
            made = list(pool.map(make_one, chosen))
    return 0 if all(made) else 1


def save_images() -> None:
    """Write the held-out digits where searches and benches take them from."""
    path = zoo_root() / "images.npz"
    if not path.exists():
        _, held_out = zoo_digits.load()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, clean=held_out.images, labels=held_out.labels)


def make_one(spec: ZooModel) -> bool:
    """Make one model and say how it went; whether there is one now."""
    try:
        truth = making.make(spec, *zoo_digits.load(), zoo_root() / spec.name)
    except Exception:  # noqa: BLE001
        # One model that cannot be made must not end a queue of many.
        print(f"{spec.name}: not made\n{traceback.format_exc()}", flush=True)
        return False
    print(row(spec, truth), flush=True)
    return True


def print_table() -> None:
    made = {path.parent.name: path for path in sorted(zoo_root().glob(f"*/{making.TRUTH}"))}
    truths = {name: json.loads(path.read_text()) for name, path in made.items()}
    for spec in MODELS:
        print(row(spec, truths.pop(spec.name, None)))
    for truth in truths.values():
        print(row(ZooModel(**truth["spec"]), truth))


def row(spec: ZooModel, truth: dict[str, Any] | None) -> str:
    """One line about one model: what it is, and what was measured on its files."""
    what = f"{spec.name:<28} {spec.kind:<10} {spec.method:<9} {spec.trigger or '-':<8} "
    what += f"{spec.architecture:<14} {spec.compression:<14} "
    if truth is None:
        return f"{what}not made"
    figures = [
        f"{name} {_rate(truth[key]['float'])} → {_rate(truth[key]['compressed'])}"
        for name, key in (("accuracy", "accuracy"), ("success", "trigger_success"))
        if truth[key]
    ]
    return f"{what}{truth['status']:<7} {', '.join(figures)}"


def _rate(count: dict[str, int]) -> str:
    return f"{count['hits'] / count['of']:6.1%}"


if __name__ == "__main__":
    sys.exit(main())
