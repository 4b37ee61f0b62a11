"""Weighs the page of each kind of run, and times it to its first paint beside an empty page.

Run it as ``python scripts/bench/pages.py``. The runs are those of the tests: the shipped digits, a
pruned one, a backdoored reader, one with a broken runtime library and one with too few samples.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.report import load
from devdiff.report.html import page
from tests.support.browsing import chromium
from tests.support.html_runs import KINDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GOAL_MS: Final = 500.0
GOAL_BYTES: Final = 1_000_000
_EMPTY: Final = '<!DOCTYPE html><html lang="en"><title>empty</title><p>empty'
_PAINT: Final = """
() => new Promise(done => new PerformanceObserver(list => {
  const paint = list.getEntriesByName("first-contentful-paint")[0];
  if (paint) done(paint.startTime);
}).observe({type: "paint", buffered: true}))
"""


def first_paint_ms(browser: Browser, path: Path, rounds: int) -> float:
    """The median of fresh windows."""
    times = []
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        shown = context.new_page()
        shown.goto(path.as_uri())
        times.append(float(shown.evaluate(_PAINT)))
        context.close()
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        place = Path(name)
        empty = place / "empty.html"
        empty.write_text(_EMPTY)
        first_paint_ms(browser, empty, 1)
        bare = first_paint_ms(browser, empty, args.rounds)
        print(f"{'empty page':16}{empty.stat().st_size / 1e3:10.1f} kB{bare:8.0f} ms")
        for kind, make in KINDS.items():
            folder = place / kind
            folder.mkdir()
            run = make(folder)
            path = folder / "page.html"
            page.write(load.load(run.folder / "report.json"), path, run.folder)
            size, paint = path.stat().st_size, first_paint_ms(browser, path, args.rounds)
            print(f"{kind:16}{size / 1e3:10.1f} kB{paint:8.0f} ms, ratio {paint / bare:.1f}")
            missed = missed or paint > GOAL_MS or size > GOAL_BYTES
    print(f"goals: {GOAL_BYTES / 1e3:.0f} kB and {GOAL_MS:.0f} ms at most")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
