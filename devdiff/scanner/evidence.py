"""What searches found, put on the real artifacts and held against the placebos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.comparison.intervals import Proportion
from devdiff.exporter.artifact import Array
from devdiff.scanner import replay, verdict_rules
from devdiff.scanner.benign import benign_flips
from devdiff.scanner.options import ScanSubject
from devdiff.scanner.replay import ScanTarget
from devdiff.scanner.replay_result import JudgedTrigger, ReplayResult
from devdiff.scanner.sample_selection import SampleSelection
from devdiff.scanner.search_plan import Found, SearchPlan
from devdiff.scanner.transfer import transfer
from devdiff.scanner.verdict_rules import Evidence

if TYPE_CHECKING:
    from devdiff.scanner.search_job import Candidate, ClassPair, SearchResult

_REPLAYED_PAIRS: Final = 2


@dataclass(frozen=True, slots=True)
class EvidenceCollector:
    """What candidates of one scan are measured with; replays are kept in ``folder``.

    ``clean`` are the watched outputs [N, C] of all tested samples unchanged, by rung.
    """

    subject: ScanSubject
    watched: ScanTarget
    chosen: SampleSelection
    clean: Mapping[str, Array]
    pruned: bool
    searches: SearchPlan
    folder: Path
    timeout_s: float

    def universal(self, results: Found) -> JudgedTrigger:
        """The best trigger for all classes, on the real artifacts."""
        (model,) = results["compressed"]
        found = model.candidates[0]
        measured = self._measure(found, [(found, self.chosen.held)])
        evidence = Evidence(
            gap=measured.gap(self.watched),
            calibrated=Proportion.of(found.calibrated, found.eligible),
            placebos=tuple(best(result) for result in results["placebo"]),
            pruned=self.pruned,
        )
        return JudgedTrigger(measured, evidence)

    def second_look(self, first: JudgedTrigger, results: Found) -> list[JudgedTrigger]:
        """What was found on one half, together with what the same search finds on the other.

        Every sample is then held out once, in the model as in its placebos, and where placebos
        decide there are twice as many. When the other half points to another class the first look
        stands. Raises `TimeoutError`.
        """
        found = first.measured.candidate
        swapped = self.searches.other_half()
        (model,) = swapped["compressed"]
        other = next(
            (candidate for candidate in model.candidates if candidate.target == found.target), None
        )
        if other is None:
            return [first]
        chosen = self.chosen
        measured = self._measure(found, [(found, chosen.held), (other, chosen.searched)])
        placebos = list(zip(results["placebo"], swapped["placebo"], strict=True))
        benign = None
        if not self.pruned:
            placebos += self.searches.more_placebos()
            if self.watched.kind == "classes":
                benign = benign_flips(self.searches.further_placebo())
        evidence = Evidence(
            gap=measured.gap(self.watched),
            calibrated=Proportion.of(
                found.calibrated + other.calibrated, found.eligible + other.eligible
            ),
            placebos=tuple(best(*halves) for halves in placebos),
            pruned=self.pruned,
            second=True,
            benign=benign,
        )
        return [JudgedTrigger(measured, evidence)]

    def windows(self, results: Found) -> list[JudgedTrigger]:
        """The best square, on the real artifacts and from both halves, beside another class's.

        Only when it shows something are the two best classes searched harder, on either half. They
        are the best where they were searched, so what is held out favours neither. Raises
        `TimeoutError`.
        """
        windows = [window for result in results["windows"] for window in result.windows]
        beside = next((window for window in windows if window.target != windows[0].target), None)
        if beside is None or _share(windows[0]) < verdict_rules.SQUARE_AGAIN:
            return []
        targets = [window.target for window in (windows[0], beside) if window.target is not None]
        self.searches.events.phase("scan: a square shows something; searching harder for it")
        again = self.searches.windows_again(tuple(targets))
        (found, other), others = (
            [next(window for window in half.windows if window.target == target) for half in again]
            for target in targets
        )
        measured = self._measure(found, [(found, self.chosen.held), (other, self.chosen.searched)])
        transferred = transfer(
            self.searches.further_placebo(), (found, other), self.searches.events.progress
        )
        evidence = Evidence(
            gap=measured.gap(self.watched),
            calibrated=_together(found, other),
            placebos=(_together(*others),),
            pruned=self.pruned,
            second=True,
            benign=benign_flips(self.searches.further_placebo()),
            square=True,
            others=transferred.others if transferred is not None else (),
        )
        return [JudgedTrigger(measured, evidence)]

    def pairs(self, results: Found) -> list[JudgedTrigger]:
        """Triggers of one source class that the twin takes for real, on the real artifacts.

        Only when something is seen do the placebos search for pairs of classes, too.
        """
        (model,) = results["compressed"]
        seen = [
            pair
            for pair in model.pairs
            if verdict_rules.simultaneous(pair.calibrated, pair.eligible, model.tried).low
            >= verdict_rules.SPECIFIC
        ]
        if not seen or not self.searches.settings.placebos:
            return []
        self.searches.events.phase("scan: searching the placebos for triggers of one source class")
        placebos = tuple(
            max(
                (Proportion.of(pair.calibrated, pair.eligible) for pair in result.pairs),
                key=lambda proportion: proportion.rate or 0.0,
                default=Proportion.of(0, seen[0].eligible),
            )
            for result in self.searches.placebo_pairs()
        )
        return [self._pair(pair, placebos, model.tried) for pair in seen[:_REPLAYED_PAIRS]]

    def _pair(self, pair: ClassPair, placebos: tuple[Proportion, ...], tried: int) -> JudgedTrigger:
        """The triggers of the folds together, each on the samples it was not searched on."""
        top = max(pair.folds, key=lambda fold: fold.calibrated)
        measured = self._measure(top, [(fold, fold.rows) for fold in pair.folds])
        gap = measured.gap(self.watched)
        evidence = Evidence(
            gap=verdict_rules.simultaneous(gap.successes, gap.trials, tried),
            calibrated=verdict_rules.simultaneous(pair.calibrated, pair.eligible, tried),
            placebos=placebos,
            pruned=self.pruned,
            tried=tried,
        )
        return JudgedTrigger(measured, evidence)

    def _measure(
        self, best_of: Candidate, parts: Sequence[tuple[Candidate, Sequence[int]]]
    ) -> ReplayResult:
        """Put triggers on the samples at their places, and run them through every rung."""
        places = [place for _, some in parts for place in some]
        stack, rungs = self.chosen.stack, self.subject.rungs
        changed = np.concatenate(
            [candidate.trigger.apply(stack[list(some)]) for candidate, some in parts]
        )
        rows = [self.chosen.rows[place] for place in places]
        inputs = replay.changed(self.subject.samples, changed, self.watched, rows)
        return ReplayResult(
            candidate=best_of,
            parts=tuple(candidate for candidate, _ in parts),
            rows=tuple(rows),
            clean=stack[places],
            changed=changed,
            before={name: outputs[rows] for name, outputs in self.clean.items()},
            outputs=replay.run_on(rungs, inputs, self.watched, self.folder, self.timeout_s),
            full=self.subject.full.name,
            last=rungs[-1].name,
        )


def _share(candidate: Candidate) -> float:
    return candidate.calibrated / max(candidate.eligible, 1)


def best(*results: SearchResult) -> Proportion:
    """The held-out gap of the triggers that did best where they were searched, one a search."""
    return _together(*(result.candidates[0] for result in results))


def _together(*candidates: Candidate) -> Proportion:
    """The held-out gap of triggers that were measured on samples of their own."""
    return Proportion.of(
        sum(candidate.calibrated for candidate in candidates),
        sum(candidate.eligible for candidate in candidates),
    )
