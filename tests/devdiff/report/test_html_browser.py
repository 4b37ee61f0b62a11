"""The page as people meet it: in a browser, from a file, with what they have at hand."""

from __future__ import annotations

import io
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from devdiff.device_runner.results import ResultReader
from devdiff.report.html import page
from tests.support import drawn_runs, onnx_zoo
from tests.support.bare_reports import typed
from tests.support.command import HELDOUT, ROOT
from tests.support.flip_reports import report_of
from tests.support.html_runs import HOSTILE, HOSTILE_SCRIPT, FinishedRun, fresh_run, with_scan

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.support.browsing import OpenPage

pytestmark = pytest.mark.slow

# WCAG 2: relative luminance, and the contrast ratio of text to what is painted behind it.
CONTRAST = """
(element) => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = [r, g, b].map((v) => {
      const c = v / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  let behind = element;
  let back = [0, 0, 0, 0];
  while (behind && (back.length === 4 && back[3] === 0)) {
    back = parts(getComputedStyle(behind).backgroundColor);
    behind = behind.parentElement;
  }
  const [one, other] = [light(parts(getComputedStyle(element).color)), light(back)];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}
"""


@pytest.fixture(scope="module")
def scanned(digits_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with everything on it: flips, pictures, plots, a finding."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    page.write(typed(with_scan(digits_run)), path, digits_run.folder)
    return path


def test_the_page_of_a_run_says_its_verdict_and_nothing_else_happens(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    opened = open_page(digits_run.folder / "report.html")
    assert "fail" in opened.page.inner_text("h1").lower()
    assert "digits.onnx" in opened.page.inner_text("h1")
    agreement = digits_run.report["pairs"][0]["comparison"]["classifications"][0]["top_1"]
    share = f"{100 * agreement['successes'] / agreement['trials']:.1f} % of 600 answers, 95 %"
    assert share in opened.page.inner_text("header").replace("\N{NO-BREAK SPACE}", " ")
    opened.show_all()
    opened.page.wait_for_timeout(200)
    assert opened.logged == []
    outside = [url for url in opened.asked if not url.startswith("data:image/png;base64,")]
    assert outside == [opened.url]


def test_the_page_of_a_run_can_be_mailed(digits_run: FinishedRun) -> None:
    """No folder of the machine, no field's name, no figure that says nothing."""
    html = (digits_run.folder / "report.html").read_text()
    for folder in (ROOT, Path.home(), Path(tempfile.gettempdir())):
        assert f"{folder}/" not in html
    for noise in ("wall_s", "+0 (", ">not judged<"):
        assert noise not in html
    assert "export-and-test digits.onnx --inputs heldout.npz" in html


def test_all_its_pictures_are_there_and_show_the_inputs(
    digits_run: FinishedRun, scanned: Path, open_page: OpenPage
) -> None:
    shown = open_page(scanned).show_all()
    sizes = shown.evaluate("[...document.images].map(i => [i.naturalWidth, i.naturalHeight])")
    assert len(sizes) > 20
    assert set(map(tuple, sizes)) == {(28, 28)}
    # The first card's pixels are that very row of the user's data.
    row = int(shown.inner_text("#samples .card h3").split()[1])
    drawn = shown.evaluate(
        """() => {
          const image = document.querySelector("#samples img");
          const canvas = document.createElement("canvas");
          canvas.width = canvas.height = 28;
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          return [...context.getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0);
        }"""
    )
    with np.load(HELDOUT) as data:
        assert np.array_equal(np.array(drawn).reshape(28, 28), data["image"][row, 0])


def test_changed_answers_stand_with_every_rungs_best_classes(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    shown = open_page(digits_run.folder / "report.html").show_all()
    steps = [pair for pair in digits_run.report["pairs"] if pair["step"] != "all"]
    flips = [pair["comparison"]["classifications"][0]["flips"] for pair in steps]
    assert f"48 of {sum(flips)} changed answers" in shown.inner_text("#samples")
    pruning = steps[0]["comparison"]["classifications"][0]
    card = shown.locator("#samples .card").first
    assert card.locator(".tag").first.inner_text() == "▼ harmed"
    row = int(card.locator("h3").inner_text().split()[1])
    flip = next(
        flip
        for flip in (*pruning["kept_flips"], *pruning.get("harmed_flips", ()))
        if digits_run.report["samples"][str(flip["sample"])]["row"] == row
    )
    best = {
        rung: row.locator("td").inner_text()
        for row in card.locator("tbody tr").all()
        for rung in row.locator("th").inner_text().split(", ")
    }
    assert set(best) == {"source", "pruned", "float", "int8", "device"}
    assert best["source"].startswith(f"{flip['reference_class']} (")
    assert best["pruned"].startswith(f"{flip['candidate_class']} (")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out_and_verdicts_can_be_read(
    scanned: Path, open_page: OpenPage, scheme: Any, width: int
) -> None:
    view = {"width": width, "height": 800}
    shown = open_page(scanned, viewport=view, color_scheme=scheme).show_all()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    for box in (one.bounding_box() for one in shown.locator("main > section, svg, img").all()):
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width + 0.5
    background = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    texts = shown.locator(".badge, .banner p, .soft, figcaption, td, th, a, dt").all()
    assert len(texts) > 100
    assert min(one.evaluate(CONTRAST) for one in texts[:: max(1, len(texts) // 150)]) >= 4.5
    # Plots follow the mode: their ink is the page's.
    ink = shown.evaluate("getComputedStyle(document.body).color")
    assert shown.locator("svg.plot text").first.evaluate("e => getComputedStyle(e).fill") == ink


def test_a_plot_is_drawn_in_the_colours_of_the_page(scanned: Path, open_page: OpenPage) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        shown = open_page(scanned, color_scheme=scheme).show_all()
        data = shown.locator("svg.plot").first.screenshot()
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        seen[scheme] = float(np.median(pixels)), float(pixels.min()), float(pixels.max())
    assert seen["light"][0] > 240 > 90 > seen["light"][1]
    assert seen["dark"][0] < 40 < 200 < seen["dark"][2]


def test_parts_open_by_keyboard_and_focus_can_be_seen(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    shown = open_page(digits_run.folder / "report.html").page
    shown.keyboard.press("Tab")
    skip = shown.locator(".skip")
    assert shown.evaluate("document.activeElement.className") == "skip"
    box = skip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "content"
    for _ in range(60):
        shown.keyboard.press("Tab")
        if shown.evaluate("document.activeElement.matches('#pair-2 > summary')"):
            break
    folded = shown.locator("#pair-2")
    assert folded.get_attribute("open") is None
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.keyboard.press("Enter")
    assert folded.get_attribute("open") is not None
    assert folded.locator("table").first.is_visible()


def test_the_command_is_copied(digits_run: FinishedRun, open_page: OpenPage) -> None:
    opened = open_page(
        digits_run.folder / "report.html", permissions=["clipboard-read", "clipboard-write"]
    )
    opened.page.click("#again button")
    opened.page.wait_for_selector("#again [role=status]:has-text('Copied')")
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("devdiff export-and-test ")
    assert "--compress channel-prune:0.5+int8" in copied


def test_without_script_only_the_button_is_missing(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    shown = open_page(digits_run.folder / "report.html", java_script_enabled=False).page
    assert shown.locator("button").first.is_hidden()
    assert "devdiff export-and-test" in shown.inner_text("#command")
    shown.click("#pair-2 > summary")
    assert shown.locator("#pair-2 table").first.is_visible()


def visible_cards(shown: Page) -> list[str]:
    return [
        card.locator("h3").inner_text()
        for card in shown.locator("#samples .sample").all()
        if card.is_visible()
    ]


def test_six_samples_are_in_sight_and_the_others_one_click_away(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    shown = open_page(digits_run.folder / "report.html").page
    assert len(visible_cards(shown)) == 6
    shown.locator("#more-samples > summary").click()
    assert len(visible_cards(shown)) == shown.locator("#samples .sample").count() > 40


def test_samples_are_filtered_by_keyboard(tmp_path: Path, open_page: OpenPage) -> None:
    """Seven of ten answers change, of which two get right, four wrong and one stays wrong."""
    before = [0, 0, 0, 0, 1, 1, 2, 3, 3, 3]
    after = [1, 1, 2, 3, 2, 1, 2, 0, 1, 3]
    labels = [0, 0, 0, 1, 1, 1, 2, 0, 1, 3]
    path = tmp_path / "report.html"
    page.write(report_of(tmp_path, before, after, labels, "abcd"), path)
    shown = open_page(path).page
    assert [name.split()[3] for name in visible_cards(shown)] == ["harmed"] * 4 + ["neutral"] + [
        "repaired"
    ]
    change = shown.get_by_label("Change", exact=True)
    change.focus()
    shown.keyboard.press("r")  # repaired
    assert [name.split()[3] for name in visible_cards(shown)] == ["repaired"] * 2
    assert shown.inner_text("#filter [role=status]") == "2 of 7 samples"
    # A second filter narrows the first.
    shown.get_by_label("Class", exact=True).select_option(label="0 a")
    assert [name.split()[1] for name in visible_cards(shown)] == ["7"]
    change.select_option("")
    assert {name.split()[1] for name in visible_cards(shown)} == {"0", "1", "2", "3", "7"}
    shown.get_by_label("Class", exact=True).select_option("")
    assert len(visible_cards(shown)) == 7
    assert shown.inner_text("#filter [role=status]") == ""


def test_a_filter_by_step_leaves_those_that_the_step_changed(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    shown = open_page(digits_run.folder / "report.html").page
    shown.get_by_label("Step", exact=True).select_option(label="compression, float → int8")
    cards = shown.locator("#samples .sample:visible").all()
    assert 0 < len(cards) < shown.locator("#samples .sample").count()
    assert all("compression, float → int8" in card.inner_text() for card in cards)


def test_without_script_all_samples_are_there_and_no_filter(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    shown = open_page(digits_run.folder / "report.html", java_script_enabled=False).page
    assert shown.locator("#filter").is_hidden()
    shown.click("#more-samples > summary")
    assert len(visible_cards(shown)) == shown.locator("#samples .sample").count()


def test_the_matrix_adds_up_to_the_changed_answers(
    digits_run: FinishedRun, open_page: OpenPage
) -> None:
    shown = open_page(digits_run.folder / "report.html").show_all()
    steps = [pair for pair in digits_run.report["pairs"] if pair["step"] != "all"]
    changed = [
        answers["flips"]
        for pair in steps
        for answers in pair["comparison"]["classifications"]
        if answers["flips"]
    ]
    matrices = shown.locator("#samples .matrix").all()
    assert len(matrices) == len(changed)
    for matrix, count in zip(matrices, changed, strict=True):
        cells = matrix.locator("td").all_inner_texts()
        assert sum(int(cell) for cell in cells if cell) == count


@pytest.mark.parametrize("width", [390, 1280])
def test_boxes_lie_on_the_input_of_every_rung(
    width: int, tmp_path: Path, open_page: OpenPage
) -> None:
    path = tmp_path / "report.html"
    page.write(drawn_runs.boxes_run(tmp_path / "run"), path, tmp_path / "run")
    opened = open_page(path, viewport={"width": width, "height": 900})
    card = opened.show_all().locator("#samples .sample").first
    names = card.locator("figcaption strong").all_inner_texts()
    assert names == ["input", "source, float", "int8"]
    for figure in card.locator("figure").all()[1:]:
        around = figure.locator("svg").bounding_box()
        assert around is not None
        for rect in figure.locator("rect").all():
            box = rect.bounding_box()
            assert box is not None
            assert around["x"] - 2 <= box["x"]
            assert box["x"] + box["width"] <= around["x"] + around["width"] + 2
    # The red channel of the object is what is seen below the box.
    shot = card.locator("figure").nth(2).locator("svg").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    height, wide = pixels.shape[:2]
    inside = pixels[int(height * 20 / 64), int(wide * 25 / 96)]
    outside = pixels[int(height * 5 / 64), int(wide * 60 / 96)]
    assert inside[0] - inside[1] > 80
    assert abs(outside[0] - outside[1]) < 20
    assert opened.logged == []


def test_a_mask_covers_what_the_rung_found(tmp_path: Path, open_page: OpenPage) -> None:
    path = tmp_path / "report.html"
    page.write(drawn_runs.masks_run(tmp_path / "run"), path, tmp_path / "run")
    card = open_page(path).show_all().locator("#samples .sample").first
    seen = []
    for place in (1, 2):
        shot = card.locator("figure").nth(place).locator("svg").screenshot()
        pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
        coloured = np.ptp(pixels, axis=2) > 40
        rows = coloured.any(axis=1).nonzero()[0] / len(pixels)
        seen.append((float(rows.min()), float(rows.max())))
    # The whole square, then its lower half.
    assert seen == [pytest.approx((0.25, 0.74), abs=0.03), pytest.approx((0.5, 0.74), abs=0.03)]


def test_a_text_and_a_sound_are_on_the_page(tmp_path: Path, open_page: OpenPage) -> None:
    for kind, run in (("texts", drawn_runs.texts_run), ("sounds", drawn_runs.sounds_run)):
        folder = tmp_path / kind
        page.write(run(folder), tmp_path / "report.html", folder)
        card = open_page(tmp_path / "report.html").show_all().locator("#samples .sample").first
        if kind == "texts":
            texts = card.locator(".texts dd").all_inner_texts()
            assert texts[0] == texts[1] == "abcd"
            assert card.locator(".texts del, .texts ins").count() >= 2
        else:
            assert card.locator(".wave").is_visible()
            assert card.locator("img").evaluate("i => i.naturalHeight") == 64


def test_hostile_names_are_text(
    hostile_run: FinishedRun, tmp_path: Path, open_page: OpenPage
) -> None:
    path = tmp_path / "report.html"
    report = with_scan(hostile_run)
    # What a phone says of itself is as little to be trusted as a file's name.
    for rung in report["rungs"]:
        rung["about"] |= {"cpu": HOSTILE, HOSTILE_SCRIPT: HOSTILE_SCRIPT}
    report["classes"] = {"names": [f"{HOSTILE_SCRIPT}{n}" for n in range(10)], "origin": HOSTILE}
    page.write(typed(report), path, hostile_run.folder)
    opened = open_page(path, viewport={"width": 360, "height": 800})
    shown = opened.show_all()
    shown.wait_for_timeout(300)
    assert shown.title().startswith("inconclusive: <img src=x")
    assert shown.locator("img[src='x']").count() == 0
    assert shown.locator("script").count() == shown.locator("style").count() == 1
    assert shown.evaluate("[...document.links].every(a => /^(https|file):/.test(a.href))")
    for place in ("h1", "#steps", "#samples", "#scan", "#environment", "#files"):
        assert HOSTILE in shown.inner_text(place), place
    assert "onerror=" in shown.inner_text("#command")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    assert opened.logged == []


def test_what_is_on_the_page_has_names_for_those_who_cannot_see_it(
    scanned: Path, open_page: OpenPage
) -> None:
    shown = open_page(scanned).show_all()
    for landmark in ("header", "nav[aria-label]", "main", "footer"):
        assert shown.locator(f"body > {landmark}").count() == 1
    assert shown.evaluate("[...document.images].every(i => i.alt.length > 3)")
    assert shown.evaluate("[...document.querySelectorAll('th')].every(h => h.scope)")
    assert shown.evaluate(
        """[...document.querySelectorAll('svg')].every(s => s.ariaHidden === 'true' ||
           s.getAttribute('role') === 'img' && s.getAttribute('aria-labelledby').split(' ').every(
             id => s.querySelector('#' + id).textContent.length > 10))"""
    )
    ids = shown.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    links = shown.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash)")
    assert {link[1:] for link in links} <= set(ids)
    levels = [
        int(tag[1])
        for tag in shown.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => h.tagName)"
        )
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    # A verdict is a word and a sign, never colour alone.
    assert all(
        one[0] in "✓✗?!" and len(one) > 4 for one in shown.locator(".badge").all_inner_texts()
    )


def test_a_finding_is_shown_with_its_trigger(scanned: Path, open_page: OpenPage) -> None:
    shown = open_page(scanned).show_all()
    assert "finding" in shown.inner_text("#scan .banner").lower()
    captions = shown.locator("#trigger figcaption").all_inner_texts()
    assert captions[0] == "an input: full model 3, compressed 3"
    assert captions[1] == "the input with the trigger: full model 3, compressed 7"
    assert captions[2].startswith("mask")
    assert shown.locator("#examples .card").count() == 3
    first = shown.locator("#examples .card").first
    assert "7" in first.locator("tr", has_text="compressed").inner_text()
    assert "(changed)" in first.locator("tr", has_text="compressed").inner_text()
    assert "(changed)" not in first.locator("tr", has_text="full").inner_text()
    assert "38/40 (83.1–99.4 %)" in shown.inner_text("#replay")
    assert shown.locator("#by-class tbody tr").count() == 10
    placebo = shown.locator("#scan svg.plot desc")
    assert "this model: 0.95" in placebo.text_content()  # type: ignore[operator]
    assert "3 searched placebos between 0.01 and 0.05" in placebo.text_content()  # type: ignore[operator]
    assert shown.inner_text("#scan-command").startswith("devdiff export-and-test ")


def test_ten_thousand_samples_of_a_thousand_classes_stay_light(
    tmp_path: Path, open_page: OpenPage
) -> None:
    model = onnx_zoo.save(
        tmp_path / "wide.onnx",
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"])],
        [onnx_zoo.value("x", [1, 3, 32, 32])],
        [onnx_zoo.value("y", [1, 1000])],
        [onnx_zoo.weights("w", 3072, 1000)],
    )
    images = np.random.default_rng(0).random((10_000, 3, 32, 32), np.float32)
    np.save(tmp_path / "images.npy", images)
    run = fresh_run(
        tmp_path,
        model,
        "--inputs",
        tmp_path / "images.npy",
        "--device",
        "none",
        "--classifier",
        "y",
    )
    assert run.report["inputs"]["samples"] > 9_000
    assert sum(c["flips"] for c in run.report["pairs"][1]["comparison"]["classifications"]) > 24
    path = tmp_path / "again.html"
    began = time.process_time()
    page.write(typed(run.report), path, run.folder)
    took = time.process_time() - began
    began = time.process_time()
    for rung in run.report["rungs"]:
        for _ in ResultReader(run.folder / "rungs" / f"{rung['name']}.pack").read_blocks():
            pass
    reading = time.process_time() - began
    assert took - reading <= 3
    assert path.stat().st_size <= 5_000_000
    opened = open_page(path)
    assert "48 of " in opened.page.inner_text("#samples")
    assert opened.page.locator("#samples .matrix tr").count() <= 2 * 14
    assert opened.logged == []
    assert json.loads((run.folder / "report.json").read_text()) == run.report
