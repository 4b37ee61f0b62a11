"""The page is navigated, read on a phone, printed, and read by those who cannot see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from devdiff.report.html import page
from tests.support.bare_reports import typed
from tests.support.browsing import violations
from tests.support.html_runs import FinishedRun, with_scan

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browsing import OpenPage

pytestmark = pytest.mark.slow

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def whole(digits_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with everything on it: flips, pictures, plots, a finding."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write(typed(with_scan(digits_run) | FOUND), path, digits_run.folder)
    return path


FOUND: dict[str, Any] = {"verdict": "finding", "exit_code": 4}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_on_the_page_violates_wcag_aa(
    whole: Path, broken_run: FinishedRun, scheme: Any, view: Any, open_page: OpenPage
) -> None:
    page.write(typed(broken_run.report), broken_run.folder / "report.html", broken_run.folder)
    for path in (whole, broken_run.folder / "report.html"):
        shown = open_page(path, viewport=view, color_scheme=scheme).show_all()
        assert violations(shown) == []


def test_axe_would_see_a_violation(whole: Path, open_page: OpenPage) -> None:
    shown = open_page(whole).page
    shown.evaluate("document.querySelector('#cause').style.color = '#ffdddd'")
    assert [found.split(":")[0] for found in violations(shown)] == ["color-contrast"]


@pytest.mark.parametrize("view", [DESK, PHONE], ids=["desk", "phone"])
def test_the_navigation_stays_in_view_and_marks_where_one_is(
    whole: Path, view: Any, open_page: OpenPage
) -> None:
    shown = open_page(whole, viewport=view).page
    shown.click("nav a[href='#files']")
    shown.wait_for_selector("nav a[href='#files'][aria-current]")
    bar = shown.locator("nav").bounding_box()
    title = shown.locator("#files h2").bounding_box()
    link = shown.locator("nav a[aria-current]")
    assert bar is not None
    assert title is not None
    assert bar["y"] == 0
    assert bar["height"] < 60
    # What was jumped to is not hidden behind it.
    assert title["y"] >= bar["height"]
    assert link.count() == 1
    box = link.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= view["width"]


def test_a_finding_comes_before_the_ladder(whole: Path, open_page: OpenPage) -> None:
    shown = open_page(whole).page
    sections = shown.evaluate("[...document.querySelectorAll('main > section')].map(s => s.id)")
    links = shown.evaluate("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert sections[:2] == ["scan", "ladder"]
    assert sections == links


def test_pictures_stand_in_pairs_on_a_phone(whole: Path, open_page: OpenPage) -> None:
    shown = open_page(whole, viewport=PHONE).page
    for place in ("#trigger", "#examples .card:first-child .pictures"):
        boxes = [figure.bounding_box() for figure in shown.locator(f"{place} figure").all()]
        first, second = boxes[:2]
        assert first is not None
        assert second is not None
        assert first["y"] == second["y"]
        assert first["x"] + first["width"] <= second["x"]
        assert second["width"] > PHONE["width"] / 3


def test_a_table_that_is_cut_off_says_so_until_its_end_is_seen(
    whole: Path, open_page: OpenPage
) -> None:
    shown = open_page(whole, viewport=PHONE).page
    area = shown.locator("#ladder .scroll")
    hint = shown.locator("#ladder .hint")
    assert area.evaluate("e => e.scrollWidth > e.clientWidth")
    assert hint.is_visible()
    assert hint.inner_text() == "Scroll sideways for more →"
    assert "gradient" in area.evaluate("e => getComputedStyle(e).maskImage")
    area.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    shown.wait_for_selector("#ladder .hint", state="hidden")
    assert area.evaluate("e => getComputedStyle(e).maskImage") == "none"
    assert open_page(whole, viewport=DESK).page.locator("#ladder .hint").is_hidden()


def test_paper_is_light_and_has_everything_but_the_navigation(
    whole: Path, open_page: OpenPage
) -> None:
    shown = open_page(whole, color_scheme="dark", viewport=DESK).page
    folded = shown.locator("details:not([open]) table").first
    assert folded.is_hidden()
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    assert shown.locator("nav").is_hidden()
    assert shown.locator("button").first.is_hidden()
    assert shown.locator(".hint").first.is_hidden()
    box = folded.bounding_box()
    assert box is not None
    assert box["height"] > 20
    # Without script, too: the style sheet alone opens what is folded.
    assert folded.evaluate("e => !e.closest('details').open")


def test_no_column_is_cut_off_on_paper(whole: Path, open_page: OpenPage) -> None:
    """A4 without its margins is 718 pixels wide."""
    shown = open_page(whole, viewport={"width": 718, "height": 1000}).page
    shown.emulate_media(media="print")
    wide = shown.evaluate(
        """[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)
           .map(e => `${e.ariaLabel}: ${e.scrollWidth} of ${e.clientWidth}`)"""
    )
    assert wide == []


def test_printing_opens_what_is_folded_and_folds_it_again(whole: Path, open_page: OpenPage) -> None:
    shown = open_page(whole).page
    folded = shown.locator("details:not([open])").count()
    assert folded > 3
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator("details:not([open])").count() == 0
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.locator("details:not([open])").count() == folded
    assert shown.pdf()[:4] == b"%PDF"


def test_the_verdict_stands_on_its_banner_and_on_no_box_of_its_own(
    whole: Path, open_page: OpenPage
) -> None:
    shown = open_page(whole).page
    colour = "e => getComputedStyle(e.parentElement).backgroundColor"
    assert shown.locator("#cause").evaluate(colour) == "rgba(0, 0, 0, 0)"
