"""Draws the pictures of docs/html-report.md: the first screen of a page of each verdict.

``scripts/page_pictures`` runs it; names of verdicts choose some of them.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from devdiff.report import load
from devdiff.report.html import page
from tests.support.browsing import chromium
from tests.support.html_runs import KINDS, fresh_run, scanned_reader

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "pictures"
MOST_BYTES: Final = 60_000
_DESK: Final = (1280, 900)
_PHONE: Final = (390, 900)
_QUALITIES: Final = (85, 70, 55, 40)


def draw(browser: Browser, path: Path, size: tuple[int, int]) -> bytes:
    """The first screen as WebP, in as good a quality as `MOST_BYTES` allow."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
    shown = context.new_page()
    shown.goto(path.as_uri())
    image = Image.open(io.BytesIO(shown.screenshot()))
    context.close()
    drawn = [_webp(image, quality) for quality in _QUALITIES]
    return next((data for data in drawn if len(data) <= MOST_BYTES), drawn[-1])


def _webp(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kinds", nargs="*", metavar="VERDICT", help=", ".join(KINDS))
    args = parser.parse_args()
    for kind in args.kinds:
        if kind not in KINDS:
            parser.error(f"{kind}: no verdict; there are {', '.join(KINDS)}")
    FOLDER.mkdir(exist_ok=True)
    drawn = {**KINDS, "finding": scanned_reader}
    with tempfile.TemporaryDirectory(prefix="devdiff-") as name, chromium() as browser:
        for kind in args.kinds or KINDS:
            folder = Path(name) / kind
            folder.mkdir()
            run = drawn[kind](folder, fresh_run)
            path = folder / "page.html"
            page.write(load.load(run.folder / "report.json"), path, run.folder)
            for stem, size in ((f"page-{kind}", _DESK), (f"page-{kind}-phone", _PHONE)):
                target = FOLDER / f"{stem}.webp"
                target.write_bytes(draw(browser, path, size))
                print(f"{target.name}: {target.stat().st_size / 1e3:.1f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
