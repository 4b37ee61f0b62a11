"""Rungs' result packs, read side by side in blocks of the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.pack import PackTensor, Status
from devdiff.device_runner.results import BLOCK_BYTES, Block, ResultReader
from devdiff.errors import ComparisonError
from devdiff.exporter.artifact import Array, Binding
from devdiff.system.typed_json import Count, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

FAILURES_KEPT: Final = 10


@dataclass(frozen=True, slots=True)
class RungOutputs:
    """What one rung left: its name, its result pack, and how its outputs map to the source's."""

    name: str
    pack: Path
    outputs: tuple[Binding, ...]


class Failure(Record, frozen=True):
    """A sample that a rung could not run, and what it said."""

    rung: str
    sample: Count
    status: str
    message: str


class RungReader:
    """One rung being read; ``failed`` and ``failures`` fill as its blocks are looked at."""

    def __init__(self, outputs: RungOutputs) -> None:
        self.name = outputs.name
        self.reader = ResultReader(outputs.pack)
        self.failed = 0
        self.failures: list[Failure] = []
        self._places = {
            binding.source.name: (self._place(binding), binding) for binding in outputs.outputs
        }

    def _place(self, binding: Binding) -> int:
        """Where the pack's table has this output: by tensor name, else by signature name."""
        tensors = self.reader.tensors
        wanted, signature = binding.artifact, binding.signature_name
        tests: tuple[Callable[[PackTensor], bool], ...] = (
            lambda tensor: tensor.name == wanted.name,
            lambda tensor: bool(signature) and signature in (tensor.signature_name, tensor.name),
            lambda tensor: tensor.signature_name == wanted.name,
        )
        for test in tests:
            found = [place for place, tensor in enumerate(tensors) if test(tensor)]
            if len(found) == 1:
                tensor = tensors[found[0]]
                if tensor.dtype != wanted.dtype or len(tensor.shape) != len(wanted.shape):
                    raise ComparisonError(
                        f"rung {self.name}: output {binding.source.name!r} should be "
                        f"{wanted.describe()}, but its results hold {tensor.dtype}"
                        f"{list(tensor.shape)}"
                    )
                return found[0]
        raise ComparisonError(
            f"rung {self.name}: its results have no output {wanted.name!r}; they have "
            f"{', '.join(repr(tensor.name) for tensor in tensors)}"
        )

    def binding(self, output: str) -> Binding | None:
        """How an output maps to the source's; None when there is none of that name."""
        return self._places[output][1] if output in self._places else None

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """How the outputs map to the source's."""
        return tuple(binding for _, binding in self._places.values())

    def real(self, block: Block, output: str) -> Array:
        """An output ``[count, *shape]`` in real units and the source's layout."""
        scale = self._places[output][1].artifact.quantization
        values = self.values(block, output)
        return values if scale is None else scale.dequantize(values)

    def stored(self, block: Block, output: str) -> Array:
        """Stored values of an output, ``[count, *shape]`` in the artifact's layout."""
        return block.arrays[self._places[output][0]]

    def values(self, block: Block, output: str) -> Array:
        """Stored values of an output, ``[count, *shape]`` in the source's layout."""
        return self._places[output][1].to_source_layout(self.stored(block, output))

    def ran(self, block: Block) -> bool:
        """Whether the block's samples have outputs; those that failed are counted and noted."""
        if block.status is Status.OK:
            return True
        self.failed += block.count
        if len(self.failures) < FAILURES_KEPT:
            status = block.status.name.lower()
            self.failures.append(Failure(self.name, block.start, status, block.message))
        return False


def aligned(*rungs: RungReader) -> Iterator[tuple[int, int, tuple[Block, ...]]]:
    """Start, count and every rung's block of the same samples, whatever blocks each file has."""
    per_block = max(1, BLOCK_BYTES // max(rung.reader.record_bytes for rung in rungs))
    sources = [rung.reader.read_blocks(max_samples=per_block) for rung in rungs]
    blocks = [next(source, None) for source in sources]
    while True:
        present = [block for block in blocks if block is not None]
        if len(present) < len(blocks):
            break
        start = max(block.start for block in present)
        end = min(block.start + block.count for block in present)
        yield start, end - start, tuple(block.part(start, end - start) for block in present)
        for place, block in enumerate(present):
            if block.start + block.count == end:
                blocks[place] = next(sources[place], None)
    # All must reach their ends: only there are the end records checked.
    assert all(block is None for block in blocks)


def common_count(*rungs: RungReader) -> int:
    """How many samples each of them holds.

    Raises `ComparisonError` when the numbers differ, or one has no end.
    """
    counts = []
    for rung in rungs:
        if rung.reader.count is None:
            raise ComparisonError(
                f"rung {rung.name}: {rung.reader.path} has no end, the run that wrote it did not "
                "finish: run the same command again to continue it"
            )
        counts.append(rung.reader.count)
    for rung, count in zip(rungs, counts, strict=True):
        if count != counts[0]:
            raise ComparisonError(
                f"rung {rungs[0].name} has {counts[0]} samples and rung {rung.name} has {count}: "
                "only runs over the same inputs can be compared"
            )
    return counts[0]


def sample_outputs(outputs: RungOutputs, names: Collection[str]) -> Iterator[dict[str, Array]]:
    """The named outputs of each sample in turn, in real units and the source's layout.

    Raises `ComparisonError` when the rung has no such output, or a sample failed.
    """
    rung = RungReader(outputs)
    for block in rung.reader.read_blocks():
        if not rung.ran(block):
            raise ComparisonError(
                f"rung {rung.name}: sample {block.start} failed: {block.message or block.status}"
            )
        values = {name: rung.real(block, name) for name in names}
        for place in range(block.count):
            yield {name: value[place] for name, value in values.items()}
