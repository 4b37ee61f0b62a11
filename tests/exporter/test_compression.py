"""The compressions a user can name."""

from __future__ import annotations

import pytest

from devdiff.exporter.compression import Compression
from devdiff.exporter.errors import CompressionError
from devdiff.exporter.recipe import Pruning


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("int8", Compression()),
        ("none", Compression(recipe=None)),
        ("prune:0.5", Compression(Pruning("prune", 0.5), recipe=None)),
        ("prune:0.5+int8", Compression(Pruning("prune", 0.5))),
        ("channel-prune:0.3", Compression(Pruning("channel-prune", 0.3), recipe=None)),
        ("channel-prune:0.3+int8", Compression(Pruning("channel-prune", 0.3))),
    ],
)
def test_text_and_value_say_the_same(text: str, meant: Compression) -> None:
    assert Compression.parse(text) == meant
    assert str(meant) == text


@pytest.mark.parametrize("text", ["prune:.50+int8", "prune:5e-1+int8"])
def test_one_rate_has_one_text(text: str) -> None:
    assert str(Compression.parse(text)) == "prune:0.5+int8"


@pytest.mark.parametrize("rate", ["0", "1", "1.5", "-0.1", "nan", "inf", "half", "50%", ""])
def test_a_rate_is_a_share(rate: str) -> None:
    with pytest.raises(CompressionError, match=r"between 0 and 1, for example prune:0\.5"):
        Compression.parse(f"prune:{rate}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("int4", r"no 'int4' \(did you mean int8\?\); there are int8, int8-float-io"),
        ("", "no ''; there are int8"),
        ("none+int8", "no 'none'"),
        ("prune:0.5+none", "one pruning at a time"),
        ("prune:0.5+channel-prune:0.3+int8", "one pruning at a time"),
        ("int8+prune:0.5", r"last, .*: write prune:0.5\+int8$"),
        ("int8+int8", "one quantization, .*: write int8$"),
        ("int8+", "write int8$"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(text: str, told: str) -> None:
    with pytest.raises(CompressionError, match=told):
        Compression.parse(text)
