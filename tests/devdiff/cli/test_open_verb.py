"""``devdiff open`` and ``--open``: the page that is meant, in what the system has for it."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from devdiff.cli import pages
from devdiff.cli.main import main
from devdiff.errors import UsageError
from devdiff.history import database_path
from devdiff.system.browser import open_page, opener
from tests.support.packages import report, tflite

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.history.store import History
    from tests.support.history_runs import Like

LADDER = {"source": b"onnx", "int8": tflite(1)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(database_path.VARIABLE, "off")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(folder: Path, name: str, seconds_ago: float = 0) -> Path:
    directory = folder / "devdiff-runs" / name
    directory.mkdir(parents=True)
    made = report(directory / "report.json", LADDER)
    then = time.time() - seconds_ago
    os.utime(made, (then, then))
    return directory


def browser(folder: Path, code: int = 0) -> Path:
    """A program that writes down what it is to open."""
    path = folder / "browser"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/opened\nexit {code}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_last_run_is_opened_and_its_page_made_where_it_is_missing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(here, "first", 60)
    last = run(here, "second")
    monkeypatch.setenv("BROWSER", str(browser(here)))
    assert main(["open"]) == 0
    page = last / "report.html"
    assert (here / "opened").read_text() == f"{page.as_uri()}\n"
    assert "<title>pass:" in page.read_text()


def test_without_a_screen_its_address_is_printed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = run(here, "a run")
    assert main(["open", str(directory)]) == 0
    address = (directory / "report.html").as_uri()
    assert capsys.readouterr().out == f"no browser to open it in: {address}\n"
    assert "a%20run" in address
    assert main(["open", "--print", str(directory / "report.json")]) == 0
    assert capsys.readouterr().out == f"{address}\n"


def test_a_browser_that_fails_is_none(here: Path) -> None:
    page = here / "page.html"
    page.touch()
    assert not open_page(page, {"BROWSER": str(browser(here, 3))})
    assert open_page(page, {"BROWSER": str(browser(here))})
    assert not open_page(page, {"BROWSER": "/nowhere/browser"})


@pytest.mark.parametrize(
    ("environ", "platform", "program"),
    [
        ({}, "linux", None),
        ({"DISPLAY": ":0"}, "linux", "xdg-open"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "xdg-open"),
        ({}, "darwin", "open"),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", "wslview"),
        ({"BROWSER": "firefox %s:lynx"}, "linux", "firefox"),
    ],
)
def test_each_system_has_its_own_opener(
    environ: dict[str, str], platform: str, program: str | None, tmp_path: Path
) -> None:
    for name in ("xdg-open", "open", "wslview", "firefox"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    found = opener(environ | {"PATH": str(tmp_path)}, platform)
    assert found == (None if program is None else [str(tmp_path / program)])


def test_where_nothing_ran_the_next_step_is_said(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["open"]) == 2
    assert "make one with devdiff export-and-test" in capsys.readouterr().err
    assert main(["open", "nowhere"]) == 2


@pytest.mark.slow
def test_the_history_knows_runs_that_lie_elsewhere(
    here: Path, history: History, like: Like, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = run(here / "elsewhere", "kept")
    history.append(like("gone", directory=str(here / "gone"), project=str(here)))
    early = "2020-01-01T00:00:00+00:00"
    history.append(like("k", directory=str(elsewhere), project=str(here), finished=early))
    monkeypatch.setenv(database_path.VARIABLE, str(history.path))
    (here / "devdiff.toml").touch()
    assert pages.latest(here) == elsewhere / "report.html"
    monkeypatch.setenv(database_path.VARIABLE, "off")
    with pytest.raises(UsageError, match="none of this project in the history"):
        pages.latest(here)


def test_open_beside_a_verb_opens_its_page_and_leaves_its_exit_code(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = run(here, "first"), here / "failed.json"
    report(second, LADDER, "fail")
    monkeypatch.setenv("BROWSER", str(browser(here)))
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(here / "cache"))
    assert main(["compare", str(first), str(second), "--open"]) == 1
    assert (here / "opened").read_text() == f"{(here / 'cache/pages/compare.html').as_uri()}\n"
    monkeypatch.setenv("BROWSER", "/nowhere/browser")
    assert main(["compare", str(first), str(second), "--open", "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.out.rstrip().endswith("}")
    assert "no browser to open it in: file://" in printed.err
    assert main(["report", str(first), "--junit", "j.xml", "--open"]) == 2
    assert "--open opens the page: name it with --html" in capsys.readouterr().err
