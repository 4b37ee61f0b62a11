"""Pages over several runs as people meet them: in a browser, wide and on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.changes import html as comparison_page
from devdiff.changes.compare import compare_runs
from devdiff.gate import html as check_page
from devdiff.gate import record
from devdiff.gate.record import CellRecord
from devdiff.gate.requirements import Requirements
from devdiff.history import html as history_page
from devdiff.package import Strictness, Tested, verify_package
from devdiff.package import html as package_page
from devdiff.package.verification import Verification
from devdiff.system.typed_json import decode
from tests.support.browsing import violations
from tests.support.html_runs import HOSTILE, HOSTILE_SCRIPT
from tests.support.packages import JNI, MANIFEST, library, package, report, tflite

if TYPE_CHECKING:
    from tests.support.browsing import OpenPage
    from tests.support.history_runs import Like

pytestmark = pytest.mark.slow

LADDER = {"source": b"onnx", "float": tflite(1), "int8": tflite(2), "device": tflite(2)}
SCREEN = 900


@dataclass(frozen=True)
class Pages:
    """Each kind of page with hostile names on it, and what has to be read without scrolling."""

    files: dict[str, Path]
    first: dict[str, tuple[str, ...]]


def compared(folder: Path) -> Path:
    before = report(folder / "before.json", LADDER)
    failed = report(folder / f"{HOSTILE.replace('/', '')}.json", LADDER, "fail")
    path = folder / "compare.html"
    comparison_page.write(compare_runs(before, failed), path)
    return path


def checked(folder: Path) -> Path:
    def cell(model: str, device: str, gate: str) -> CellRecord:
        usual = {
            "name": f"{model}/int8/{device}",
            "model": model,
            "compression": "int8",
            "device": device,
            "directory": "here",
            "report": "here/report.json",
            "sha256": "a" * 64,
            "verdict": gate,
            "gate": gate,
            "summary": f"it is {gate}",
            "agreement": {"agreed": 599, "samples": 600},
            "worst_step": "compression (float → int8)",
            "error": None,
            "baseline": None,
            "wall_s": 61.0,
        }
        return decode(CellRecord, usual)

    cells = [
        cell(model, device, gate)
        for model, gate in (("reader", "pass"), (HOSTILE, "fail"), (HOSTILE_SCRIPT, "finding"))
        for device in ("local", "Pixel 7", "emulator-5554", "none")
    ]
    made = record.build(cells, notes=(), config=None, baseline=None, command=["check", HOSTILE])
    path = folder / "check.html"
    check_page.write(made, path)
    return path


def verified(folder: Path) -> Path:
    entries = {
        f"lib/arm64-v8a/{JNI}": library(page=4096),
        "a.tflite": tflite(2),
        f"assets/{HOSTILE.replace('/', '')}.tflite": tflite(9),
    }
    app = package(folder / "app.apk", MANIFEST | entries)
    tested = Tested.from_reports([report(folder / "tested.json", LADDER)])
    found = Verification(verify_package(app, tested, Strictness(pages=True)), (), Requirements())
    path = folder / "verify.html"
    package_page.write(found, ["verify", HOSTILE], path)
    return path


@pytest.fixture
def pages(tmp_path: Path, like: Like) -> Pages:
    runs = [
        like(f"{place}", model=HOSTILE, finished=f"2026-01-{place + 1:02}T10:00:00+00:00")
        for place in range(12)
    ]
    history = tmp_path / "history.html"
    history_page.write(runs[::-1], history, HOSTILE)
    return Pages(
        {
            "compare": compared(tmp_path),
            "check": checked(tmp_path),
            "verify": verified(tmp_path),
            "history": history,
        },
        {
            "compare": ("fail", "got worse", "Before", "After"),
            "check": ("finding", "of 12 passed", "local"),
            "verify": ("fail", "not tested", "a.tflite"),
            "history": ("12 runs", "Agreement", "pass"),
        },
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_over_runs_say_what_matters_first_and_nothing_sticks_out(
    open_page: OpenPage, pages: Pages, width: int
) -> None:
    for kind, path in pages.files.items():
        opened = open_page(path, viewport={"width": width, "height": SCREEN})
        shown = opened.page
        seen = shown.evaluate(
            """(screen) => [...document.querySelectorAll("body *")]
              .filter(e => e.children.length === 0 && e.getBoundingClientRect().top < screen &&
                e.getBoundingClientRect().width > 0)
              .map(e => e.textContent).concat([...document.querySelectorAll("p, h1, h2, li")]
              .filter(e => e.getBoundingClientRect().top < screen).map(e => e.innerText)).join(" ")
            """,
            SCREEN,
        )
        for word in pages.first[kind]:
            assert word.lower() in seen.lower(), (kind, width, word)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, kind
        assert shown.locator("img[src='x']").count() == 0, kind
        assert shown.locator("script").count() == shown.locator("style").count() == 1
        assert shown.title().endswith("devdiff"), kind
        assert HOSTILE in shown.inner_text("body") or kind == "compare", kind
        # The page itself, and nothing else, is asked for; nothing is logged.
        assert (opened.asked, opened.logged) == ([opened.url], []), kind
        ids = shown.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids)), kind
        assert shown.evaluate("[...document.querySelectorAll('thead th')].every(h => h.scope)"), (
            kind
        )
        levels = shown.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)")
        assert levels.count("H1") == 1, kind


def test_a_matrix_cell_leads_to_its_run(open_page: OpenPage, pages: Pages) -> None:
    path = pages.files["check"]
    run = path.parent / "here"
    run.mkdir()
    (run / "report.html").write_text("<title>the run</title>")
    shown = open_page(checked(path.parent)).page
    shown.click("a.cell >> nth=0")
    assert shown.title() == "the run"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_over_runs_keep_to_wcag(
    open_page: OpenPage, pages: Pages, scheme: Any, width: int
) -> None:
    view: Any = {"width": width, "height": SCREEN}
    for kind, path in pages.files.items():
        shown = open_page(path, viewport=view, color_scheme=scheme).show_all()
        assert violations(shown) == [], kind
