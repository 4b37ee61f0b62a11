"""Whether a rung's outputs still answer each input: that input exchanged between samples.

An output that ignores an input, or follows it by a fraction only, can pass every ratio of energies.
Here one input after the other is exchanged between a few samples, by a fixed permutation that
leaves none where it was, and all others stay. Where the reference's output changes, the candidate's
must change alike. A model of one input needs no further run: exchanged samples give exchanged
outputs, so it is the spread of the outputs over the samples that must be followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import numpy.typing as npt

from devdiff.comparison.dependence import (
    LEAST_SHARE,
    Dependence,
    Response,
    change,
    not_judged,
    response,
    with_check,
)
from devdiff.comparison.rungs import RungOutputs, RungReader
from devdiff.device_runner.errors import PackError
from devdiff.errors import ComparisonError
from devdiff.exporter.artifact import Array, Quantization
from devdiff.inputs.input_set import InputSet
from devdiff.ladder import ladder
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.ladder.judge import JudgedPair
    from devdiff.ladder.ladder import Rung, RungPair, RungResult, Step
    from devdiff.progress import Events

SAMPLES: Final = 16
_FEW_SAMPLES: Final = 8
_MANY_INPUTS: Final = 4
# What the repeated runs may take before they are made on fewer samples.
_LONG_MS: Final = 30_000.0
# What the outputs of all rungs may take in memory, before there are fewer samples.
_MOST_BYTES: Final = 1 << 29
_LEAST_SAMPLES: Final = 4
_STEPS: Final[tuple[Step, ...]] = ("pruning", "conversion", "compression", "conversion+compression")


def measure(
    rungs: Sequence[Rung],
    results: Sequence[RungResult],
    pairs: Sequence[RungPair],
    samples: InputSet,
    folder: Path,
    timeout_s: float,
    events: Events,
) -> dict[tuple[str, str], Dependence]:
    """The check of every step that counts, by its two rungs; of rungs on this machine alone.

    A step one of whose rungs could not run has none. Runs of models with several inputs are kept in
    ``folder``.
    """
    ran = {result.name: result for result in results if not result.error}
    checked = [
        pair
        for pair in pairs
        if pair.gates and pair.step in _STEPS and {pair.reference, pair.candidate} <= ran.keys()
    ]
    names = dict.fromkeys(name for pair in checked for name in (pair.reference, pair.candidate))
    if not checked or len(samples) == 0:
        return {}
    chosen = [rung for rung in rungs if rung.name in names]
    exchange = _Exchange.of(samples, [ran[name] for name in names])
    if len(samples.arrays) == 1:
        packs = {name: ran[name] for name in names}
        rows = exchange.rows
    else:
        events.phase("exchanging inputs between samples")
        packs = exchange.run(chosen, folder, timeout_s)
        rows = np.arange(exchange.runs)
    outputs = {name: _read(result, rows) for name, result in packs.items()}
    return {
        (pair.reference, pair.candidate): _of_step(
            exchange, outputs[pair.reference], outputs[pair.candidate]
        )
        for pair in checked
    }


def with_dependence(
    judged: Sequence[JudgedPair], measured: Mapping[tuple[str, str], Dependence]
) -> list[JudgedPair]:
    """The steps with what the check says of them: the graver of the two verdicts."""
    found = []
    for judged_pair in judged:
        check = measured.get((judged_pair.pair.reference, judged_pair.pair.candidate))
        if check is None or judged_pair.pair.step not in _STEPS:
            found.append(judged_pair)
            continue
        found.append(
            replace(
                judged_pair, judgement=with_check(judged_pair.judgement, check), dependence=check
            )
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of an array in another order, read when they are asked for: images are large."""

    values: Array
    rows: Array

    def __getitem__(self, place: int) -> Array:
        found: Array = self.values[int(self.rows[place])]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Exchange:
    """Which samples take part, and with which each exchanges an input."""

    samples: InputSet
    rows: npt.NDArray[np.int64]
    partner: npt.NDArray[np.int64]

    @classmethod
    def of(cls, samples: InputSet, results: Sequence[RungResult]) -> _Exchange:
        inputs = len(samples.arrays)
        wanted = SAMPLES
        once = sum(result.median_ms or 0.0 for result in results)
        if inputs > _MANY_INPUTS or (inputs > 1 and once * wanted * (1 + inputs) > _LONG_MS):
            wanted = _FEW_SAMPLES
        runs = 1 + inputs if inputs > 1 else 1
        size = sum(4 * output.source.elements for result in results for output in result.outputs)
        wanted = min(wanted, max(_LEAST_SAMPLES, _MOST_BYTES // max(1, size * runs)))
        count = min(wanted, len(samples))
        # Spread over the set: neighbours in a sorted set are alike.
        rows = np.linspace(0, len(samples) - 1, count).round().astype(np.int64)
        order = np.random.default_rng(samples.seed).permutation(count)
        partner = np.empty(count, np.int64)
        partner[order] = np.roll(order, -1)
        return cls(samples, rows, partner)

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def runs(self) -> int:
        """Samples of a run that holds all as they are, and once more for each input."""
        return self.count * (1 + len(self.samples.arrays))

    def run(self, rungs: Sequence[Rung], folder: Path, timeout_s: float) -> dict[str, RungResult]:
        folder.mkdir(parents=True, exist_ok=True)
        names = tuple(self.samples.arrays)
        plain = self.samples.tested[self.rows]
        arrays = {
            name: _Rows(
                values,
                np.concatenate(
                    [plain, *(plain[self.partner] if name == other else plain for other in names)]
                ),
            )
            for name, values in self.samples.arrays.items()
        }
        exchanged = replace(
            self.samples,
            arrays=cast("Mapping[str, Array]", arrays),
            tested=np.arange(self.runs),
            labels=None,
            names=(),
        )
        return {
            rung.name: ladder.run_rung(
                rung,
                exchanged,
                folder,
                folder / f"{ladder.file_name(rung.name)}.log",
                timeout_s,
                lambda done: None,
            )
            for rung in rungs
        }

    def same(self, name: str) -> bool:
        """Whether exchanging the input changes nothing at all."""
        values = self.samples.arrays[name]
        rows = self.samples.tested[self.rows]
        return all(
            np.array_equal(values[int(row)], values[int(rows[partner])])
            for row, partner in zip(rows, self.partner, strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Outputs:
    """A rung's outputs of the samples asked for, ``[runs, *shape]`` in real units and the source's
    layout. ``failed`` are those samples it could not run; ``error`` when it ran none."""

    name: str
    values: Mapping[str, Array]
    quantization: Mapping[str, Quantization | None]
    failed: frozenset[int]
    error: str | None = None


def _read(result: RungResult, rows: npt.NDArray[np.int64]) -> _Outputs:
    scales = {b.source.name: b.artifact.quantization for b in result.outputs}
    if result.error:
        return _Outputs(result.name, {}, scales, frozenset(), result.error)
    found: dict[str, dict[int, Array]] = {name: {} for name in scales}
    failed = set()
    wanted = {int(row): place for place, row in enumerate(rows)}
    try:
        rung = RungReader(RungOutputs(result.name, result.pack, result.outputs))
        for block in rung.reader.read_blocks():
            places = [row for row in range(block.start, block.start + block.count) if row in wanted]
            if not places:
                continue
            if not rung.ran(block):
                failed |= {wanted[row] for row in places}
                continue
            for name, scale in scales.items():
                stored = rung.values(block, name)
                for row in places:
                    value = stored[row - block.start].copy()
                    found[name][wanted[row]] = scale.dequantize(value) if scale else value
    except (ComparisonError, PackError) as error:
        return _Outputs(result.name, {}, scales, frozenset(), str(error))
    values: dict[str, Array] = {}
    for name, by_place in found.items():
        shapes = {value.shape for value in by_place.values()}
        if len(shapes) == 1 and not failed:
            values[name] = np.stack([by_place[place] for place in range(len(rows))])
    return _Outputs(result.name, values, scales, frozenset(failed))


def _of_step(exchange: _Exchange, reference: _Outputs, candidate: _Outputs) -> Dependence:
    seed = exchange.samples.seed
    broken = next((side for side in (reference, candidate) if side.error), None)
    reason = None
    if broken is not None:
        reason = f"rung {broken.name} could not run with inputs exchanged: {broken.error}"
    elif candidate.failed - reference.failed:
        reason = (
            f"rung {candidate.name} could not run {len(candidate.failed - reference.failed)} of "
            f"{exchange.runs} samples with inputs exchanged, which rung {reference.name} could"
        )
    if reason is not None:
        return Dependence(Verdict.ERROR, exchange.count, seed, LEAST_SHARE, reason, ())
    responses = tuple(_responses(exchange, reference, candidate))
    failed = any(response.verdict == "fail" for response in responses)
    verdict = Verdict.FAIL if failed else Verdict.PASS
    return Dependence(verdict, exchange.count, seed, LEAST_SHARE, None, responses)


def _responses(exchange: _Exchange, reference: _Outputs, candidate: _Outputs) -> Iterator[Response]:
    single = len(exchange.samples.arrays) == 1
    for place, name in enumerate(exchange.samples.arrays):
        same = exchange.same(name)
        for output in reference.quantization:
            left, right = reference.values.get(output), candidate.values.get(output)
            if exchange.count < 2 or same:
                why = "it is the same in all samples" if exchange.count > 1 else "there is one"
                yield not_judged(name, output, why)
                continue
            if left is None or right is None or left.shape != right.shape:
                yield not_judged(name, output, "samples fail, or their shapes change")
                continue
            count = exchange.count
            at = slice(count * (1 + place), count * (2 + place))
            integers = all(side.dtype.kind in "iub" for side in (left, right))
            wanted, seen = (
                change(side[:count], side[exchange.partner] if single else side[at], integers)
                for side in (left, right)
            )
            scale = candidate.quantization[output]
            yield response(name, output, wanted, seen, left, scale, integers)
