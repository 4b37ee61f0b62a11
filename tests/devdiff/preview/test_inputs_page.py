"""The page of ``devdiff inputs`` in a browser: what is odd comes first, and nothing runs over."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from devdiff.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page of colour pictures with the scale of bytes, and a copy among them."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32)).astype(np.float32)
    images[8] = images[2]
    np.savez("samples.npz", image=images, labels=np.arange(60) % 5)
    assert main(["inputs", "--inputs", "samples.npz", "--show"]) == 0
    return tmp_path / "devdiff-inputs.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_first_screen_says_what_is_odd(look: Path, width: int) -> None:
    executable = shutil.which("chromium")
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("no browser: as root, apt-get install chromium (or scripts/setup)")
        pytest.skip("no browser: as root, apt-get install chromium (or scripts/setup)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(look.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        seen = page.evaluate(
            "[...document.querySelectorAll('h1, .data-warning')]"
            ".filter((e) => e.getBoundingClientRect().bottom < 900).map((e) => e.innerText)"
        )
        assert seen[0] == "Look at these inputs"
        assert len(seen) == 4  # a copy, whose labels differ, and bytes for a scale
        assert "scale=1/255" in seen[3]
        first = page.locator(".thumbs img").first.bounding_box()
        assert first is not None
        assert first["y"] < 900
        places = page.evaluate(
            "[...document.querySelectorAll('.thumbs li')]"
            ".map((e) => Math.round(e.getBoundingClientRect().x))"
        )
        assert len(set(places)) == (3 if width == 390 else 10)
        assert page.locator(".thumbs img").count() == 24
        browser.close()
        assert complaints == []
