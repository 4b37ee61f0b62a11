"""The recipes a user can name or write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.exporter import recipe
from devdiff.exporter.errors import CompressionError
from devdiff.exporter.recipe import BUILTIN, FLOAT32, Pruning, Recipe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("known", [*BUILTIN.values(), FLOAT32], ids=lambda known: known.name)
def test_value_and_json_say_the_same(known: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(known.to_json()))) == known


def test_a_pruned_recipe_comes_back_from_json() -> None:
    pruned = Recipe("x", "int8", pruning=Pruning("prune", 0.5))
    assert Recipe.from_json(json.loads(json.dumps(pruned.to_json()))) == pruned
    assert pruned.file_name == "pruned-int8.tflite"


def test_a_file_says_what_differs_from_the_default(tmp_path: Path) -> None:
    path = tmp_path / "careful.json"
    path.write_text('{"precision": "int8", "quantizer": "ai-edge", "keep_operators": ["SOFTMAX"]}')
    assert recipe.parse(str(path)) == Recipe(
        "careful", "int8", "ai-edge", keep_operators=("SOFTMAX",)
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"precision": "int4"}, r"precision is 'int4'; it must be one of int8, int16x8"),
        ({"precision": "float32"}, "it must be one of int8"),
        ({"quantizer": "tflite"}, "lacks precision"),
        ({"precision": "int8", "per_chanel": True}, "no 'per_chanel'; did you mean per_channel"),
        ({"precision": "int8", "per_channel": 1}, "must be true or false"),
        ({"precision": "int8", "keep_layers": "conv"}, "must be a list of names"),
        ({"precision": "int8", "pruning": None}, "there is no 'pruning'"),
        ({"precision": "int8", "name": "a/b"}, "a name has letters"),
        ({"precision": "float16", "float_io": True}, "float32 anyway"),
        ({"precision": "float16", "quantizer": "ai-edge"}, "made by the tflite quantizer"),
        ({"precision": "dynamic", "per_channel": False}, "per_channel is for int8"),
        ({"precision": "float16", "keep_operators": ["ADD"]}, "quantizes nothing"),
        ({"precision": "int16x8", "keep_operators": ["ADD"]}, "for int8 only: take quantizer"),
        ([], "not a JSON object"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: Any, told: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CompressionError, match=told):
        recipe.parse(str(path))


def test_a_file_that_is_no_json_or_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("int8")
    for name in ("r.json", "none.json"):
        with pytest.raises(CompressionError, match="cannot be read"):
            recipe.parse(str(tmp_path / name))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CompressionError, match=r"did you mean int16x8\? There are int8, int8-fl"):
        recipe.parse("int16x")
