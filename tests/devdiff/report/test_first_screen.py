"""What a reader needs stands in the first 900 pixels of the page, on a desk and on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from devdiff.report.html import page
from tests.support.bare_reports import typed
from tests.support.html_runs import KINDS, FinishedRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.support.browsing import OpenPage

pytestmark = pytest.mark.slow

FOLD: Final = 900
WIDTHS: Final = (1280, 390)
PICTURES: Final = {
    "pass": "#changed",
    "fail": "#changed",
    "inconclusive": "#changed",
    "finding": "#trigger",
}
# What lies in view and is not covered by anything else: the middle of each line of text.
SEEN: Final = """
(element) => {
  const box = element.getBoundingClientRect();
  const middle = [box.left + Math.min(box.width / 2, 20), box.top + box.height / 2];
  const top = document.elementFromPoint(...middle);
  return {
    left: box.left, right: box.right, top: box.top, bottom: box.bottom,
    seen: box.width > 0 && box.height > 0 && (element.contains(top) || top?.contains(element)),
  };
}
"""


@pytest.fixture(scope="module", params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A finished run of each verdict, with its page drawn anew."""
    folder = tmp_path_factory.mktemp(request.param)
    made = KINDS[request.param](folder)
    page.write(typed(made.report), made.folder / "report.html", made.folder)
    assert made.report["verdict"] == request.param
    return made


def in_view(shown: Page, selector: str) -> Iterator[dict[str, Any]]:
    found = shown.locator(selector).all()
    assert found, f"{selector} is not there"
    for element in found:
        yield element.evaluate(SEEN)


@pytest.mark.parametrize("width", WIDTHS)
def test_verdict_cause_basis_and_picture_stand_in_the_first_900_pixels(
    run: FinishedRun, width: int, open_page: OpenPage
) -> None:
    opened = open_page(run.folder / "report.html", viewport={"width": width, "height": FOLD})
    verdict = run.report["verdict"]
    wanted = ["h1 .badge", "#cause", "#basis dt", "#basis dd"]
    if verdict in PICTURES:
        wanted += [f"{PICTURES[verdict]} img", f"{PICTURES[verdict]} figcaption"]
    for selector in wanted:
        for box in in_view(opened.page, selector):
            assert box["seen"], selector
            assert box["bottom"] <= FOLD, selector
            assert box["left"] >= 0, selector
            assert box["right"] <= width, selector
    assert opened.page.evaluate("scrollY") == 0
    assert verdict in opened.page.inner_text("h1 .badge").lower()
    assert opened.logged == []
