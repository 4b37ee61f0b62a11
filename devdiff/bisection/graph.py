"""How data flows through a model, and where it can be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import networkx

from devdiff.device_runner.pack import DTYPE_CODES, MAX_RANK

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from devdiff.exporter.tflite_graph import Graph, GraphOperator, GraphTensor

_SOURCE: Final = ("source", 0)
_Node = tuple[str, int]


class Flow:
    """A model's operators and the tensors that carry data between them.

    Operators that depend on no input of the model (a DEQUANTIZE of constant weights, say) belong to
    the operators that use what they make: they carry no data.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._flow: networkx.DiGraph[_Node] = networkx.DiGraph()
        self._made_by: dict[int, int] = {}
        self.operators: list[int] = []
        carried = {*graph.inputs}
        for index in graph.inputs:
            self._flow.add_edge(_SOURCE, ("tensor", index))
        for operator in graph.operators:
            inputs = [index for index in operator.inputs if index in carried]
            if not inputs:
                continue
            node = ("operator", operator.index)
            self.operators.append(operator.index)
            self._flow.add_edges_from((("tensor", index), node) for index in inputs)
            self._flow.add_edges_from((node, ("tensor", index)) for index in operator.outputs)
            self._made_by.update(dict.fromkeys(operator.outputs, operator.index))
            carried.update(operator.outputs)

    def operator(self, index: int) -> GraphOperator:
        return self.graph.operators[index]

    def tensor(self, index: int) -> GraphTensor:
        return self.graph.tensors[index]

    def inputs_of(self, operator: int) -> tuple[int, ...]:
        """The data that an operator takes, each tensor once, in its own order."""
        carried = [i for i in self.operator(operator).inputs if ("tensor", i) in self._flow]
        return tuple(dict.fromkeys(carried))

    def outputs_of(self, operator: int) -> tuple[int, ...]:
        """What an operator makes that can be looked at."""
        return tuple(i for i in self.operator(operator).outputs if self.visible(i))

    def made_by(self, tensor: int) -> int | None:
        """The operator behind a tensor; None for an input of the model."""
        return self._made_by.get(tensor)

    def visible(self, tensor: int) -> bool:
        """Whether a model can end at the tensor: there are types that no runner hands out."""
        known = self.graph.tensors[tensor]
        return known.dtype in DTYPE_CODES and len(known.shape) <= MAX_RANK

    def dominators(self, target: int) -> tuple[int, ...]:
        """The computed, visible tensors that all data on its way to ``target`` passes, in order.

        The target itself is left out.
        """
        above = networkx.immediate_dominators(self._flow, _SOURCE)
        chain: list[int] = []
        node: _Node = ("tensor", target)
        while (node := above[node]) != _SOURCE:
            if node[0] == "tensor" and node[1] in self._made_by and self.visible(node[1]):
                chain.append(node[1])
        return tuple(reversed(chain))

    def between(self, known: Collection[int], target: int) -> tuple[int, ...]:
        """The operators that make ``target`` out of the tensors ``known`` and the model's inputs.

        In an order in which they can run that ends one branch before it begins the next, so that as
        few tensors as possible are alive in between.
        """
        order: list[int] = []
        done: set[int] = set()
        stack = [(target, False)]
        while stack:
            tensor, finished = stack.pop()
            operator = self._made_by.get(tensor)
            if operator is None or tensor in known or operator in done:
                continue
            if finished:
                done.add(operator)
                order.append(operator)
                continue
            stack.append((tensor, True))
            stack += [(index, False) for index in reversed(self.inputs_of(operator))]
        return tuple(order)

    def frontier(self, order: Sequence[int], count: int, target: int) -> tuple[int, ...]:
        """What the first ``count`` operators of ``order`` hand to those behind them."""
        before, behind = order[:count], order[count:]
        needed = {index for operator in behind for index in self.inputs_of(operator)} | {target}
        made = (index for operator in before for index in self.operator(operator).outputs)
        return tuple(index for index in made if index in needed)

    def ancestors(self, target: int) -> frozenset[int]:
        """The operators that ``target`` depends on."""
        above = networkx.ancestors(self._flow, ("tensor", target))
        return frozenset(index for kind, index in above if kind == "operator")

    def behind(self, operator: int, target: int) -> tuple[int, ...]:
        """The operators between ``operator`` and ``target``, in the file's order, without it."""
        below = networkx.descendants(self._flow, ("operator", operator))
        wanted = self.ancestors(target)
        return tuple(sorted(i for kind, i in below if kind == "operator" and i in wanted))

    def in_order(self, outputs: Sequence[int]) -> tuple[int, ...]:
        """``outputs`` in the order in which the file computes them."""
        return tuple(sorted(outputs, key=lambda index: self._made_by.get(index, -1)))
