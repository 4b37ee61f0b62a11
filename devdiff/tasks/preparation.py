"""The first rung once more, on some samples that are prepared in other usual ways."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.comparison.intervals import Proportion, binomial_tail
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.input_range import unsuited
from devdiff.inputs.input_set import InputSet
from devdiff.inputs.lint import some
from devdiff.inputs.preprocess import Preprocess
from devdiff.inputs.variants import Variant, bytes_like, channel_axis, variants
from devdiff.ladder import ladder
from devdiff.ladder.ladder import Rung, RungResult
from devdiff.tasks.chance import FEWEST, AccuracyAgainstChance
from devdiff.tasks.class_order import SURE, explains

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from devdiff.progress import Events

_SAMPLES: Final = 200
_LOOKED_AT: Final = 32
# What trying may take of the model's own time.
_BUDGET_MS: Final = 60_000.0
# Where nothing looks wrong, and only the channels may be swapped.
_MORE_SAMPLES: Final = 1_000
_LESS_MS: Final = 15_000.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One change of labels or inputs, how often the rung is right with it, and whether that mends
    it: most errors are gone, or answers at chance are better than that."""

    kind: str
    change: str
    right: Proportion
    mends: bool


@dataclass(frozen=True, slots=True)
class Preparations:
    """Other preparations of the samples of ``rung``, which gave ``answers`` int64 [N] to
    ``labels``."""

    rung: Rung
    result: RungResult
    samples: InputSet
    labels: Array
    answers: Array
    accuracy: AccuracyAgainstChance

    @property
    def doubtful(self) -> bool:
        """Whether the preprocessing does not suit the values, or a scale may be missing."""
        spec = self._input
        if spec is None or spec.numpy_dtype.kind != "f":
            return False
        seen, pipeline = some(self.samples.arrays[spec.name], self.samples.tested), self._pipeline
        forgotten = pipeline.scale is None and not pipeline.mean and bytes_like(seen)
        return forgotten or bool(unsuited(seen, spec, pipeline))

    @property
    def coloured(self) -> bool:
        """Whether another order of the channels could show: colours, and errors enough that those
        it takes away are no luck."""
        spec = self._input
        if spec is None or spec.numpy_dtype.kind != "f":
            return False
        axis = channel_axis(spec)
        wrong = int(np.count_nonzero(self.answers != self.labels))
        if axis is None or spec.shape[axis] != 3 or binomial_tail(wrong, wrong, 0.5) > SURE:
            return False
        seen = some(self.samples.arrays[spec.name], self.samples.tested)
        return not np.array_equal(np.flip(seen, axis + 1), seen)

    @property
    def _pipeline(self) -> Preprocess:
        return Preprocess.from_json(self.samples.preprocess)

    @property
    def _input(self) -> TensorSpec | None:
        """The only input, or the only one that is an image."""
        specs = [binding.source for binding in self.rung.inputs]
        images = [spec for spec in specs if len(spec.shape) == 4]
        found = specs if len(specs) == 1 else images
        return found[0] if len(found) == 1 else None

    def run(
        self,
        folder: Path,
        timeout_s: float,
        events: Events,
        answers_of: Callable[[RungResult], Array],
        channels_only: bool = False,
    ) -> tuple[list[Trial], tuple[str, ...]]:
        """What each preparation comes to, and notes on what was not tried.

        All are samples of one run in ``folder``, so that the model is loaded once. With
        ``channels_only`` nothing but their order is tried, on more samples in less time.
        """
        most, budget_ms = (_MORE_SAMPLES, _LESS_MS) if channels_only else (_SAMPLES, _BUDGET_MS)
        spec, samples = self._input, self.samples
        if spec is None:
            return [], ("scale and channel order were not tried: no single input is an image",)
        rows = samples.arrays[spec.name]
        order = np.random.default_rng(samples.seed).permutation(len(samples))
        seen = np.stack([rows[int(row)] for row in samples.tested[order[:_LOOKED_AT]]])
        made = variants(spec, self._pipeline, seen)
        if channels_only:
            made = [variant for variant in made if variant.kind == "channel order"]
        if not made:
            return [], ("no other scale or channel order suits the values of the inputs",)
        affordable = int(budget_ms / max(1e-6, (self.result.median_ms or 0.0) * len(made)))
        if affordable < FEWEST:
            return [], ("scale and channel order were not tried: the model takes too long",)
        order = order[: min(most, affordable)]
        chosen = samples.tested[order]
        arrays: dict[str, Any] = {
            name: _Repeated(array, chosen, len(made), made if name == spec.name else None)
            for name, array in samples.arrays.items()
        }
        total = len(chosen) * len(made)
        folder.mkdir(parents=True, exist_ok=True)
        done = ladder.run_rung(
            self.rung,
            replace(samples, arrays=arrays, tested=np.arange(total), labels=None),
            folder,
            folder / "run.log",
            timeout_s,
            lambda finished: events.progress(finished, total),
        )
        if done.error or done.failed:
            why = done.error or f"{done.failed} samples failed"
            return [], (f"scale and channel order could not be tried: {why}",)
        right = answers_of(done).reshape(-1, len(made)) == self.labels[order][:, None]
        plain = (self.answers == self.labels)[order]
        return [
            Trial(
                variant.kind,
                variant.change,
                Proportion.of(int(right[:, place].sum()), len(chosen)),
                self._mends(variant, plain, right[:, place], len(made)),
            )
            for place, variant in enumerate(made)
        ], ()

    def _mends(self, variant: Variant, plain: Array, changed: Array, tried: int) -> bool:
        if self.accuracy.standing != "at chance":
            # Networks bear swapped colours: what is left of the errors says little then.
            return explains(plain, changed, tried, halving=variant.kind != "channel order")
        right, samples = int(changed.sum()), len(changed)
        luck = binomial_tail(right, samples, self.accuracy.chance) * tried
        return luck <= SURE and right / samples > self.accuracy.right.high


class _Repeated:
    """Rows of an input, each ``times`` in a row or in one variant after another, made when they are
    asked for."""

    def __init__(
        self, rows: Array, chosen: Array, times: int, made: Sequence[Variant] | None
    ) -> None:
        self._rows = rows
        self._chosen = chosen
        self._times = times
        self._made = made

    def __len__(self) -> int:
        return len(self._chosen) * self._times

    def __getitem__(self, index: int) -> Array:
        place, which = divmod(index, self._times)
        value: Array = np.asarray(self._rows[int(self._chosen[place])])
        return value if self._made is None else self._made[which].apply(value)
