"""One search from files to measured hypotheses, in a process of its own."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from devdiff.scanner.objective import AnyClass, Moved, ToClass
from devdiff.scanner.pace import Pace, plan, shown
from devdiff.scanner.search_job import Candidate, ClassPair, SearchJob, SearchResult, SearchSettings
from devdiff.scanner.successive_halving import Arm, Hypothesis, at_once, search
from devdiff.scanner.trigger import Form, forms
from devdiff.scanner.twin_pair import Sides, Twins, all_of
from devdiff.scanner.window_places import places

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEW_CLASSES: Final = 24
"""Up to so many classes every one is tried; of more, those that a target-free start points to."""
_STARTS: Final = 3
_CANDIDATES: Final = 8
_TIMED: Final = 4
_TIMED_AT_MOST: Final = 128
_CHEAPER: Final = 0.9
_TIMING: Final = 0.01
"""What part of its time a job spends at most on learning what a sample costs."""
_PRUNED_SIZE_WEIGHT: Final = 100.0
"""A model that lost weights is easier to lead astray: only a smaller change tells."""
_PAIRS: Final = SearchSettings(
    images=6, rounds=(16, 16, 24, 40), survivors=0.35, finish=0, size_weight=50.0
)
"""For one source class: more hypotheses, so fewer samples for each, and a change that carries one
class over to another is more easily found, so only a smaller one tells."""
_FOLDED: Final = replace(_PAIRS, images=8, rounds=(90,))
_WINDOWS: Final = SearchSettings(
    images=10, rounds=(15, 20, 30), survivors=0.55, finish=40, size_weight=0.0, by_class=True
)
"""A square pays for no size, which all have alike. Of ten classes the best square of each is
finished: what squares do that nobody planted shows in the other classes."""
_WINDOWS_AGAIN: Final = replace(_WINDOWS, images=12, rounds=(20, 30, 40), finish=60)
"""Towards the two best classes alone."""
_PRUNED_PAIR_SIZE_WEIGHT: Final = 400.0
_FOLDS: Final = 5
_FOLLOWED: Final = 2
_PROMISING: Final = 0.75
"""The best pairs are followed through folds, if they carry over so many of a class's samples."""


def run(job: SearchJob, progress: Callable[[float], None] = lambda share: None) -> SearchResult:
    """Search as ``job`` says.

    Raises `TimeoutError` at its deadline, and `ScanError` for a model the twin cannot express.
    """
    torch.set_num_threads(1)
    twins = Twins(job)
    placebo = job.seed if job.variant == "placebo" else None
    sides = twins.sides(placebo)
    every = torch.arange(len(sides.samples))
    outputs = sides.before.numpy(), all_of(sides.compressed, sides.samples, every).numpy()
    if job.variant == "mirrored":
        sides = twins.sides(mirrored=True)
    searched, held = torch.tensor(job.searched), torch.tensor(job.held)
    seconds = job.share * (job.deadline - time.monotonic())
    pace = Pace(time.monotonic() + seconds, 0.0)
    search = TriggerSearch(job, sides, searched, pace)
    pace.cost = search.timed(_TIMING * seconds)
    shares = job.universal + job.pairs
    candidates: tuple[Candidate, ...] = ()
    if job.universal:
        settings = job.settings
        if job.calibrated:
            settings = replace(settings, size_weight=_PRUNED_SIZE_WEIGHT)
        later = search.pairs_work() if job.pairs else 0
        hypotheses = search.search(
            search.arms(), settings, lambda share: progress(share / shares), later
        )
        candidates = tuple(_measured(hypothesis, sides, held) for hypothesis in hypotheses)
    pairs: tuple[ClassPair, ...] = ()
    tried = 0
    if job.pairs and (arms := search.pair_arms()):
        began, tried = (shares - 1) / shares, len(arms)
        settings = search.for_pairs(_PAIRS)
        # All samples of a class are few enough; the folds then hold each of them out.
        whole = replace(search, rows=every)
        seen = whole.search(
            arms, settings, lambda share: progress(began + 0.7 * share / shares), _folds_work()
        )
        pairs = tuple(whole.folded(pair) for pair in seen[:_FOLLOWED] if pair.success >= _PROMISING)
    windows: tuple[Candidate, ...] = ()
    if job.windows and (arms := search.window_arms()):
        settings = _WINDOWS_AGAIN if job.targets else _WINDOWS
        settings = replace(settings, seed=job.settings.seed)
        hypotheses = search.search(arms, settings, progress)
        windows = tuple(_measured(hypothesis, sides, held) for hypothesis in hypotheses)
    effort = min(pace.efforts, default=1.0)
    return SearchResult(candidates, pairs, tried, effort, *outputs, windows)


@dataclass(frozen=True, slots=True)
class TriggerSearch:
    """The searches of one job, on its ``rows`` of samples."""

    job: SearchJob
    sides: Sides
    rows: Tensor
    pace: Pace

    @property
    def samples(self) -> Tensor:
        return self.sides.samples[self.rows]

    @property
    def before(self) -> Tensor:
        return self.sides.before[self.rows]

    @property
    def forms(self) -> tuple[Form, ...]:
        return forms(tuple(self.sides.samples.shape[1:]))

    def search(
        self,
        arms: Sequence[Arm],
        settings: SearchSettings,
        progress: Callable[[float], None],
        later: int = 0,
    ) -> list[Hypothesis]:
        """Search in the part of the time that is this one's when others follow.

        ``later`` is how many samples those show.
        """
        work = shown(plan(settings, len(arms)))
        return search(
            self.sides.full,
            self.sides.aimed,
            self.samples,
            self.rows,
            arms,
            settings,
            low=self.job.low,
            high=self.job.high,
            deadline=self.job.deadline,
            until=self.pace.until(work, later),
            pace=self.pace,
            progress=lambda done, total: progress(done / total),
        )

    def timed(self, seconds: float) -> float:
        """What one sample takes through both models and back.

        Measured on ever more samples together while that makes each cheaper, as it does in the
        small models' searches, and has taken less than ``seconds``.
        """

        def both(numbers: Tensor) -> None:
            some = self.sides.samples[numbers].clone().requires_grad_()
            full, aimed = self.sides.full(some, numbers), self.sides.aimed(some, numbers)
            torch.autograd.grad(full.sum() + aimed.sum(), some)

        began, size, cost = time.monotonic(), _TIMED, math.inf
        most = min(_TIMED_AT_MOST, at_once(self.sides.samples.shape[1:]))
        while True:
            numbers = self.rows[torch.arange(size) % len(self.rows)]
            if size == _TIMED:  # the first time does not count
                both(numbers)
            start = time.monotonic()
            both(numbers)
            before, cost = cost, (time.monotonic() - start) / size
            spent = time.monotonic() - began
            if size >= most or cost > _CHEAPER * before or 3 * spent > seconds:
                return cost
            size = min(2 * size, most)

    def pairs_work(self) -> int:
        """How many samples the searches for pairs of classes show at the most."""
        return shown(plan(_PAIRS, len(self.pair_arms()))) + _folds_work()

    def arms(self) -> list[Arm]:
        if self.job.kind == "values":
            moved = Moved.measured(self.before)
            return [Arm(moved, form) for form in self.forms for _ in range(_STARTS)]
        classes: Sequence[int] = range(self.before.shape[1])
        if len(classes) > FEW_CLASSES:
            classes = self._pointed_to()
        return [Arm(ToClass(target), form) for target in classes for form in self.forms]

    def for_pairs(self, settings: SearchSettings) -> SearchSettings:
        weight = _PRUNED_PAIR_SIZE_WEIGHT if self.job.calibrated else settings.size_weight
        return replace(settings, seed=self.job.settings.seed, size_weight=weight)

    def pair_arms(self) -> list[Arm]:
        """Every class that has samples, to every other."""
        classes = self.before.shape[1]
        if classes > FEW_CLASSES:
            return []
        sources = sorted(set(self.before.argmax(1).tolist()))
        return [
            Arm(ToClass(target, source), "patch")
            for source in sources
            for target in range(classes)
            if target != source
        ]

    def window_arms(self) -> list[Arm]:
        """Every class at every place, while there are few classes."""
        classes = self.before.shape[1]
        if self.job.kind != "classes" or classes > FEW_CLASSES:
            return []
        shape = tuple(self.sides.samples.shape[1:])
        return [
            Arm(ToClass(target), "patch", window=place)
            for target in self.job.targets or range(classes)
            for place in places(shape)
        ]

    def folded(self, pair: Hypothesis) -> ClassPair:
        """Search for the pair on all samples of its source class but one part, for each part.

        All samples must be among the ``rows``.
        """
        objective = pair.arm.objective
        assert objective.source is not None
        assert objective.target is not None
        own = torch.nonzero(objective.eligible(self.sides.before))[:, 0].tolist()
        parts = [own[first::_FOLDS] for first in range(min(_FOLDS, len(own)))]
        arms = [
            Arm(objective, pair.arm.form, tuple(row for row in own if row not in part))
            for part in parts
        ]
        settings = self.for_pairs(_FOLDED)
        # The best come first, so each is told by what it was shown.
        folds = {fold.arm.shown: fold for fold in self.search(arms, settings, lambda share: None)}
        return ClassPair(
            objective.source,
            objective.target,
            tuple(
                _measured(folds[arm.shown], self.sides, torch.tensor(part))
                for arm, part in zip(arms, parts, strict=True)
            ),
        )

    def _pointed_to(self) -> list[int]:
        """The classes that a search without a target runs into most."""
        start = [Arm(AnyClass(), form) for form in self.forms for _ in range(_STARTS)]
        settings = replace(
            self.job.settings, rounds=self.job.settings.rounds[:2], survivors=1.0, finish=0
        )
        before = self.before.argmax(1)
        counts = torch.zeros(self.before.shape[1])
        later = shown(plan(self.job.settings, _CANDIDATES * len(self.forms)))
        for hypothesis in self.search(start, settings, lambda share: None, later):
            changed = torch.from_numpy(hypothesis.trigger.apply(self.samples.numpy()))
            scores = torch.softmax(all_of(self.sides.aimed, changed, self.rows), 1)
            kept = all_of(self.sides.full, changed, self.rows).argmax(1) == before
            scores[torch.arange(len(scores)), before] = 0
            counts += (scores * kept[:, None]).sum(0)
        best: list[int] = counts.topk(min(_CANDIDATES, len(counts))).indices.tolist()
        return best


def _folds_work() -> int:
    return _FOLLOWED * shown(plan(_FOLDED, _FOLDS))


def _measured(hypothesis: Hypothesis, sides: Sides, held: Tensor) -> Candidate:
    objective = hypothesis.arm.objective
    hits, calibrated, eligible = sides.measure(objective, hypothesis.trigger, held)
    return Candidate(
        target=objective.target,
        source=objective.source,
        trigger=hypothesis.trigger,
        success=hypothesis.success,
        hits=int((hits & eligible).sum()),
        calibrated=int((calibrated & eligible).sum()),
        rows=tuple(held[eligible].tolist()),
        steps=hypothesis.steps,
    )
