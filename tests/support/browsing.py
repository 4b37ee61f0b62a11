"""A page in Debian's Chromium, for tests and scripts that look at it as people do."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

WCAG_AA: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")


class OpenedPage:
    """A page in the browser, with everything it logged and asked for."""

    def __init__(self, context: BrowserContext, path: Path) -> None:
        self.logged: list[str] = []
        self.asked: list[str] = []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.logged.append(message.text))
        self.page.on("pageerror", lambda error: self.logged.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.resolve().as_uri()
        self.page.goto(self.url)

    def show_all(self) -> Page:
        """Open every folded part."""
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return self.page


OpenPage = Callable[..., OpenedPage]


def violations(shown: Page) -> list[str]:
    """What axe-core finds on a page against WCAG 2.2 AA: the rule and where."""
    from axe_playwright_python.sync_playwright import Axe

    result = Axe().run(shown, options={"runOnly": list(WCAG_AA)})
    assert len(result.response["passes"]) > 5
    return [
        f"{rule['id']}: {node['target']}"
        for rule in result.response["violations"]
        for node in rule["nodes"]
    ]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser. Raises `FileNotFoundError` where none is installed."""
    executable = shutil.which("chromium")
    if executable is None:
        raise FileNotFoundError("no browser: as root, apt-get install chromium (or scripts/setup)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox does not start as root, as which containers run tests.
        running = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Skips the tests where there is no Chromium; under CI, where there should be, they fail."""
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(chromium())
        except FileNotFoundError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield running


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    contexts = []

    def opened(path: Path, **options: Any) -> OpenedPage:
        context = browser.new_context(**options)
        contexts.append(context)
        return OpenedPage(context, path)

    yield opened
    for context in contexts:
        context.close()
