"""What the page draws of a trigger, and that a damaged one costs only its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from devdiff.report.html.plots import Plotter
from devdiff.report.html.run_files import RunFiles
from devdiff.report.html.scan import ScanView, view
from tests.support.bare_reports import bare_report, scan_error, typed

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array

SHAPE: Final = (28, 28, 1)
EMPTY: Final = np.zeros(SHAPE, np.float32)


def _view(folder: Path, form: str, **arrays: Array) -> ScanView:
    (folder / "scan").mkdir()
    whole: dict[str, Any] = {"mask": EMPTY, "pattern": EMPTY, "shift": EMPTY} | arrays
    np.savez(folder / "scan" / "trigger.npz", form=form, low=0.0, high=1.0, **whole)
    clean = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    np.savez(
        folder / "scan" / "examples.npz", clean=clean, triggered=clean[::-1], low=0.0, high=1.0
    )
    trigger = {"form": form, "size": 0.1, "target": 1, "source": None, "file": "scan/trigger.npz"}
    example = {"row": 0, "name": None, "label": None}
    scan = scan_error() | {"trigger": trigger, "examples": [example]}
    report = typed(bare_report(scan=scan))
    assert report.scan is not None
    return view(report.scan, RunFiles(folder, report), Plotter())


def test_a_warp_is_shown_on_straight_lines_and_on_an_input(tmp_path: Path) -> None:
    field = np.zeros((2, 28, 28), np.float32)
    field[1] = 3 * np.sin(np.arange(28) / 5)

    shown = _view(tmp_path, "warp", field=field)

    captions = [part.caption for part in shown.trigger]
    assert captions == ["an input", "the input with the trigger", "straight lines, bent by it"]
    assert len({part.picture.uri for part in shown.trigger}) == 3
    assert shown.notes == ()


def test_a_patch_is_shown_by_its_mask_and_an_addition_by_what_it_adds(tmp_path: Path) -> None:
    for form, caption in (("patch", "mask"), ("additive", "added")):
        folder = tmp_path / form
        folder.mkdir()
        assert _view(folder, form, shift=EMPTY + 0.1).trigger[2].caption.startswith(caption)


@pytest.mark.parametrize("shape", [(28, 28), (3, 28, 28), (2, 5, 9), (2, 0, 0)])
def test_a_field_that_fits_no_input_costs_the_picture_only(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    shown = _view(tmp_path, "warp", field=np.ones(shape, np.float32))

    assert shown.trigger == ()
    assert shown.notes == ("no picture of the trigger: its arrays are missing, or are no image",)
    assert shown.examples[0].clean is not None
