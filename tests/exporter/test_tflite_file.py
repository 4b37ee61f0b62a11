"""Finished .tflite files that no run of single samples would do justice are refused, in words."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.errors import ArtifactError
from tests.support.tflite_rewriting import rewritten

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devdiff.exporter.worker_client import ExportWorker
    from tests.support.exporting import Exported


def remember(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].isVariable = True


def assign(model: Any) -> None:
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.ASSIGN_VARIABLE
    # The old, one-byte field would outrank it with a number of its own.
    model.operatorCodes[0].deprecatedBuiltinCode = 127


def second_graph(model: Any) -> None:
    model.subgraphs.append(copy.copy(model.subgraphs[0]))
    one = model.signatureDefs[0]
    other = copy.copy(one)
    one.signatureKey, other.signatureKey, other.subgraphIndex = b"encode", b"decode", 1
    model.signatureDefs.append(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remember, r"m\.tflite keeps state from one call to the next \(tensor '.+'\)"),
        (assign, r"m\.tflite keeps state .* \(operator ASSIGN_VARIABLE\)"),
        (second_graph, r"has the signatures decode, encode, on 2 graphs: .* one file for each"),
    ],
)
def test_what_single_samples_do_not_test_is_refused(
    worker: ExportWorker,
    two_by_two: Exported,
    tmp_path: Path,
    change: Callable[[Any], None],
    message: str,
) -> None:
    path = rewritten(two_by_two.folder / "float.tflite", tmp_path / "m.tflite", change)
    with pytest.raises(ArtifactError, match=message):
        worker.inspect(path)


def test_two_signatures_on_the_main_graph_are_one_model(
    worker: ExportWorker, two_by_two: Exported, tmp_path: Path
) -> None:
    def second_name(model: Any) -> None:
        other = copy.copy(model.signatureDefs[0])
        other.signatureKey = b"again"
        model.signatureDefs.append(other)

    whole = two_by_two.folder / "float.tflite"
    path = rewritten(whole, tmp_path / "m.tflite", second_name)
    assert worker.inspect(path).inputs == worker.inspect(whole).inputs
