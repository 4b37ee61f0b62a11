"""Pages that a verb makes: where they go, finding them again, and opening them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.cli.groups import output
from devdiff.report.parts import escape

if TYPE_CHECKING:
    import argparse

    from rich.console import Console


def chosen(html: Path | None, opened: bool, name: str) -> Path | None:
    """The file that a page goes to: the one that is named, else, to be opened, one in the cache.

    Raises `UsageError` when it cannot be written there.
    """
    from devdiff.errors import UsageError
    from devdiff.system.cache import cache_root

    if html is not None:
        if html.is_dir() or not html.absolute().parent.is_dir():
            raise UsageError(f"--html {html}: name a file in a folder that exists")
        return html
    if not opened:
        return None
    folder = cache_root() / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.html"


def name(page: Path | None, out: Console) -> None:
    """Print where a page lies."""
    if page is not None:
        out.print(f"page: {escape(str(page))}", soft_wrap=True)


def show(page: Path | None, args: argparse.Namespace) -> None:
    """Open a page where ``--open`` asks for it; without a browser, say its address."""
    if page is None or not args.open:
        return
    from devdiff.system.browser import open_page

    if not open_page(page) and args.verbosity != output.QUIET:
        # Standard output may be a document.
        print(f"no browser to open it in: {page.resolve().as_uri()}", file=sys.stderr)


def of_place(place: Path) -> Path:
    """The page of a run directory, a check's directory, a report.json or a check.json; a page is
    its own. One that is not there is made.

    Raises `UsageError` for what has none, `ReportError` for a damaged report.
    """
    from devdiff.gate import html as check_page
    from devdiff.gate import record
    from devdiff.report import load
    from devdiff.report.html import page as run_page

    if place.suffix == ".html" and place.is_file():
        return place
    check = place / record.CHECK_NAME if place.is_dir() else place
    if check.name == record.CHECK_NAME and check.is_file():
        page = check.with_name(check_page.PAGE_NAME)
        if not page.exists():
            check_page.write(record.load(check), page)
        return page
    report = load.locate(place)
    page = report.with_name(run_page.PAGE_NAME)
    if not page.exists():
        run_page.write(load.load(report), page, load.run_directory(report))
    return page


def latest(folder: Path) -> Path:
    """The page of the run or check that finished last: of those below ``folder``, else of those of
    its project that the history knows. Raises `UsageError` when there is none."""
    from devdiff.errors import UsageError
    from devdiff.gate import check, record
    from devdiff.ladder.run_directory import DEFAULT_ROOT, REPORT_NAME

    found = [
        *(folder / DEFAULT_ROOT).glob(f"*/{REPORT_NAME}"),
        *(folder / check.DEFAULT_ROOT).glob(f"*/{record.CHECK_NAME}"),
    ]
    if found:
        return of_place(max(found, key=lambda path: path.stat().st_mtime))
    for directory in _in_history(folder):
        if (directory / REPORT_NAME).is_file():
            return of_place(directory)
    raise UsageError(
        f"there is no run below {folder}, and none of this project in the history: name the run "
        "directory, or make one with devdiff export-and-test"
    )


def _in_history(folder: Path) -> list[Path]:
    """The run directories of the project, the latest first; none where there is no history."""
    from devdiff.history import database_path
    from devdiff.history.store import History, Wanted

    path = database_path.location()
    if path is None:
        return []
    wanted = Wanted(project=str(database_path.project(folder)))
    return [Path(run.directory) for run in History(path).runs(wanted)]
