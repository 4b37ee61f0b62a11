"""Plots say in words what they draw, and fit into a page that forbids inline styles."""

from __future__ import annotations

import functools
import math
import re
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from devdiff.comparison import LsbHistogram, OutputMetrics, Proportion
from devdiff.report.html.plots import Plotter
from tests.support.pair_packs import compare_arrays

SVG = "{http://www.w3.org/2000/svg}"


@functools.cache
def compared() -> OutputMetrics:
    """A real comparison's figures of one output."""
    values = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        return compare_arrays(Path(folder), values, values).outputs[0]


def errors(largest: float | None = 1.5, **more: Any) -> OutputMetrics:
    names = ("p50_abs_error", "p90_abs_error", "p99_abs_error", "p999_abs_error")
    values: dict[str, Any] = dict(zip(names, (0.1, 0.3, 0.5, 0.9), strict=True)) | more
    return structs.replace(compared(), elements=6000, max_abs_error=largest, lsb=None, **values)


def steps(below: int = 0, above: int = 0, **counts: int) -> OutputMetrics:
    values = tuple(counts.get(f"at{place}", 0) for place in range(17))
    return structs.replace(compared(), lsb=LsbHistogram(8, values, below, above, 8))


def test_an_error_curve_says_what_it_shows() -> None:
    drawn = Plotter().errors(errors())
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    said = root.findtext(f"{SVG}desc")
    assert said is not None
    assert "50 % of the elements are off by more than 0.1;" in said
    assert said.endswith("the largest error is 1.5.")


def test_without_errors_there_is_no_curve() -> None:
    nothing = dict.fromkeys(("p50_abs_error", "p90_abs_error", "p99_abs_error", "p999_abs_error"))
    assert Plotter().errors(errors(None, **nothing)) is None
    assert Plotter().errors(errors(0.0, **dict.fromkeys(nothing, 0.0))) is None
    assert Plotter().errors(errors(math.inf, **dict.fromkeys(nothing, math.inf))) is None
    assert Plotter().steps(errors()) is None


def test_an_odd_element_out_is_drawn() -> None:
    """A single error among thousands of elements is all there is to see."""
    zeros = dict.fromkeys(("p50_abs_error", "p90_abs_error", "p99_abs_error", "p999_abs_error"), 0)
    drawn = Plotter().errors(errors(0.25, **zeros))
    assert drawn is not None
    assert "the largest error is 0.25." in drawn


def test_steps_name_every_difference_also_those_beyond_the_axis() -> None:
    drawn = Plotter().steps(steps(below=2, above=1, at8=5990, at9=7))
    assert drawn is not None
    said = ElementTree.fromstring(drawn).findtext(f"{SVG}desc")
    assert said == (
        "2 elements at less than -8 LSB; 5990 elements at 0 LSB; 7 elements at 1 LSB; "
        "1 elements at more than 8 LSB."
    )


def test_plots_of_one_page_share_no_id_and_carry_no_inline_style() -> None:
    plotter = Plotter()
    own = Proportion(9, 10, 0.8, 0.95, 0.95)
    drawn = [
        plotter.errors(errors()),
        plotter.errors(errors()),
        plotter.steps(steps(at8=6)),
        plotter.placebo([0.1, 0.2], [], own),
        plotter.profile([30.0, 12.5, 28.0], "sqnr db"),
    ]
    text = "".join(map(str, drawn))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for used in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text):
        assert "".join(used) in ids
    assert "style" not in text
    assert "#0102" not in text  # every stand-in became a colour of the page
    assert "the lowest is 12.5 at layer 1." in text
    assert "no placebos given its trigger" in text
