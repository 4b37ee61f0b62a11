"""Plots say in words what they draw, and fit into a page that forbids inline styles."""

from __future__ import annotations

import functools
import math
import re
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from devdiff.comparison import LsbHistogram, OutputMetrics, Proportion
from devdiff.report.html.plots import Plotter
from devdiff.report.model.bisect import LayerNoise, LayerRecord
from tests.support.pair_packs import compare_arrays


@functools.cache
def compared() -> OutputMetrics:
    """A real comparison's figures of one output."""
    values = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        return compare_arrays(Path(folder), values, values).outputs[0]


def steps(below: int = 0, above: int = 0, **counts: int) -> OutputMetrics:
    values = tuple(counts.get(f"at{place}", 0) for place in range(17))
    return structs.replace(compared(), lsb=LsbHistogram(8, values, below, above, 8))


def test_without_steps_there_is_no_plot() -> None:
    assert Plotter().steps(structs.replace(compared(), lsb=None)) is None


def layer(
    index: int, ratio: float | None, *, alone: float | None = None, used: float | None = 0.9
) -> LayerRecord:
    noise = LayerNoise(alone, 0.0, used)
    return LayerRecord(
        index,
        "CONV_2D",
        f"conv<{index}>",
        index,
        "conv",
        "int8",
        LayerNoise(ratio, 0.0 if index else 0.01, used),
        None if alone is None else noise,
    )


def test_steps_name_every_difference_also_those_beyond_the_axis() -> None:
    drawn = Plotter().steps(steps(below=2, above=1, at8=5990, at9=7))
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    assert root.findtext("desc") == (
        "Of 6000 elements 0.0333 % at less than -8 LSB; 99.8 % at 0 LSB; 0.117 % at 1 LSB; "
        "0.0167 % at more than 8 LSB."
    )
    names = [bar.findtext("title") for bar in root.findall("rect")]
    assert names == [
        "2 elements at less than -8 LSB",
        "5990 elements at 0 LSB",
        "7 elements at 1 LSB",
        "1 elements at more than 8 LSB",
    ]


def test_the_error_by_layer_names_the_lowest_and_draws_the_limit() -> None:
    rows = [layer(3, 41.0, alone=50.0), layer(5, 12.5), layer(8, None), layer(9, math.inf)]
    drawn = Plotter().layers(rows, 10.0)
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    described = root.findtext("desc")
    assert described is not None
    assert (
        "of 4 layers; in the whole model the lowest is 12.5 dB at operator 5, CONV_2D." in described
    )
    assert len(root.findall("circle")) == 3
    assert len(root.findall("rect")) == 1
    assert root.find("path[@class='limit']") is not None
    assert "conv&lt;3&gt;, alone 50 dB" in drawn
    assert Plotter().layers([layer(1, None)], None) is None


def test_a_name_from_outside_neither_ends_the_drawing_nor_turns_it_around() -> None:
    odd = "</title><script>\u202e&"
    drawn = Plotter().layers([structs.replace(layer(1, 20.0, alone=21.0), name=odd)], None)
    assert drawn is not None
    assert "<script" not in drawn
    assert "\u202e" not in drawn
    name = ElementTree.fromstring(drawn).findtext("rect/title")
    assert name == "operator 1 CONV_2D: </title><script>\\u202e&, alone 21 dB"


def test_a_range_that_is_hardly_used_stands_out() -> None:
    rows = [layer(0, 30.0, used=1.0), layer(1, 30.0, used=0.125), layer(2, 30.0, used=None)]
    drawn = Plotter().ranges(rows)
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    assert root.findtext("desc") == (
        "Of 2 layers 1 use less than 25 % of their range; the least is 12.5 % at operator 1, "
        "CONV_2D. In 1 of them more than 0.1 % of the values are clipped."
    )
    bars = [bar.get("class") for bar in root.findall("rect")]
    assert bars == ["bar", "bar low"]
    # Heights are the shares.
    first, second = (float(bar.get("height", 0)) for bar in root.findall("rect"))
    assert second / first == pytest.approx(0.125, abs=0.01)


def test_plots_of_one_page_share_no_id_and_carry_no_inline_style() -> None:
    plotter = Plotter()
    own = Proportion(9, 10, 0.8, 0.95, 0.95)
    rows = [layer(place, ratio) for place, ratio in enumerate((30.0, 12.5, 28.0))]
    drawn = [
        plotter.steps(steps(at8=6)),
        plotter.steps(steps(at8=6)),
        plotter.placebo([0.1, 0.2], [], own),
        plotter.layers(rows, None),
        plotter.ranges(rows),
    ]
    text = "".join(map(str, drawn))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) == 10
    for labels in re.findall(r'aria-labelledby="([^"]+)"', text):
        assert set(labels.split()) <= set(ids)
    assert "style" not in text
    assert "the lowest is 12.5 dB at operator 1" in text
    assert "no placebos given its trigger" in text
