"""The search names the operator behind which two sides part, on any graph, in few runs."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from devdiff.bisection.graph import Flow
from devdiff.bisection.search import SplitPoint, first_divergence
from devdiff.exporter.tflite_graph import Graph, GraphOperator, GraphTensor


def tensor(index: int, dtype: str = "float32") -> GraphTensor:
    return GraphTensor(index, f"t{index}", (1, 4), dtype, None, None, 0, None)


def graph(operators: list[list[int]], dtypes: dict[int, str] | None = None) -> Graph:
    """Tensor 0 is the input, tensor ``k + 1`` what operator ``k`` makes of the tensors given."""
    count = len(operators)
    return Graph(
        tuple(tensor(index, (dtypes or {}).get(index, "float32")) for index in range(count + 1)),
        tuple(
            GraphOperator(place, "ADD", tuple(inputs), (place + 1,), {})
            for place, inputs in enumerate(operators)
        ),
        (0,),
        (count,),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Chains with branches: mostly the tensor before, sometimes others from further back."""
    count = draw(st.integers(1, 40))
    reach = draw(st.integers(1, 8))
    operators = []
    for place in range(count):
        near = st.integers(max(0, place - reach), place)
        operators.append(draw(st.lists(near, min_size=1, max_size=3, unique=True)))
    return graph(operators)


class Device:
    """Computes like the reference but for some operators; differences go where data goes.

    ``healing`` operators give equal outputs whatever flows in.
    """

    def __init__(self, graph: Graph, guilty: set[int], healing: set[int] | None = None) -> None:
        self.differing: set[int] = set()
        self.asked: list[tuple[int, ...]] = []
        for operator in graph.operators:
            passed = {*operator.inputs} & self.differing and operator.index not in (healing or ())
            if operator.index in guilty or passed:
                self.differing.update(operator.outputs)

    def differs(self, tensors: tuple[int, ...]) -> bool:
        self.asked.append(tensors)
        return bool({*tensors} & self.differing)


def reaching(graph: Graph) -> list[int]:
    """The operators that the output depends on."""
    return sorted(Flow(graph).ancestors(graph.outputs[0]))


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_one_guilty_operator_is_found_wherever_it_is(graph: Graph, data: st.DataObject) -> None:
    candidates = reaching(graph)
    guilty = data.draw(st.sampled_from(candidates))
    device = Device(graph, {guilty})
    flow = Flow(graph)
    found = first_divergence(flow, graph.outputs[0], device.differs)
    assert found.operators == (guilty,)
    assert len(device.asked) <= max(1, 2 * math.log2(max(2, len(candidates))))


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_heals_what_flows_in_is_equal_and_what_flows_out_differs(
    graph: Graph, data: st.DataObject
) -> None:
    operators = range(len(graph.operators))
    guilty = data.draw(st.sets(st.sampled_from(operators), min_size=1))
    healing = data.draw(st.sets(st.sampled_from(operators)))
    device = Device(graph, guilty, healing)
    if graph.outputs[0] not in device.differing:
        return
    flow = Flow(graph)
    found = first_divergence(flow, graph.outputs[0], device.differs)
    (operator,) = found.operators
    assert operator in guilty
    assert not {*flow.inputs_of(operator)} & device.differing
    assert {*flow.operator(operator).outputs} & device.differing


def test_a_chain_is_halved() -> None:
    chain = graph([[index] for index in range(64)])
    device = Device(chain, {17})
    assert first_divergence(Flow(chain), 64, device.differs) == SplitPoint((17,), 64, (17,), (18,))
    assert len(device.asked) == 6
    assert all(len(tensors) == 1 for tensors in device.asked)


def test_branches_are_cut_all_at_once() -> None:
    """A stem, two branches of two, and their sum: a cut inside ends in both branches."""
    branches = graph([[0], [1], [2], [1], [4], [3, 5]])
    device = Device(branches, {3})
    found = first_divergence(Flow(branches), 6, device.differs)
    assert found.operators == (3,)
    assert (3, 4) in device.asked


def test_tensors_that_no_runner_hands_out_are_not_cut_at() -> None:
    chain = graph([[index] for index in range(4)], {2: "string", 3: "resource"})
    device = Device(chain, {1})
    found = first_divergence(Flow(chain), 4, device.differs)
    assert found.operators == (1, 2, 3)
    assert device.asked == [(1,)]


def test_operators_of_constants_belong_to_those_that_use_them() -> None:
    """Float16 weights behind a DEQUANTIZE: the weights are no way that data takes."""
    whole = Graph(
        tuple(tensor(index) for index in range(5)),
        (
            GraphOperator(0, "DEQUANTIZE", (1,), (2,), {}),
            GraphOperator(1, "CONV_2D", (0, 2), (3,), {}),
            GraphOperator(2, "RELU", (3,), (4,), {}),
        ),
        (0,),
        (4,),
    )
    flow = Flow(whole)
    assert flow.operators == [1, 2]
    assert flow.inputs_of(1) == (0,)
    assert flow.dominators(4) == (3,)
