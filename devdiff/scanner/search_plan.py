"""The searches of a scan: in the model, in its placebos, and with the models' roles swapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from devdiff.options import ScanSettings
from devdiff.progress import Events
from devdiff.scanner.sample_selection import SampleSelection
from devdiff.scanner.search_job import Kind, SearchJob, SearchResult, SearchSettings, Variant
from devdiff.scanner.window_places import places

_FOR_SEARCHES: Final = 0.85
"""Of the time that is left; the rest is for the replay and for the trigger's placebos."""

Found = Mapping[Variant | Literal["windows"], list[SearchResult]]
"""By variant; the searches for squares in the model stand apart."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What all searches of one scan have in common; the fields are those of `SearchJob`.

    The searches that are made together share the time that is left until ``deadline``: as many run
    at once as there are cores. What they do not need is for those that are made later, should the
    model give a reason. ``efforts`` are the parts of their plans that those in the model could do.
    Raise what `run_searches` raises.
    """

    full: Path
    compressed: Path
    outputs: tuple[int, int]
    kind: Kind
    classes: int
    inputs: tuple[tuple[Path, ...], tuple[Path, ...]]
    changed: tuple[int, int]
    chosen: SampleSelection
    pruned: bool
    settings: ScanSettings
    deadline: float
    folder: Path
    events: Events
    efforts: list[float] = field(default_factory=list)

    @property
    def first_count(self) -> int:
        """How many searches `first` makes."""
        return 1 + len(self._placebos) + self.pruned

    def first(self) -> Found:
        """On one half of the samples, measured on the other."""
        from devdiff.scanner.trigger_search import FEW_CLASSES

        few = self.kind == "classes" and self.classes <= FEW_CLASSES
        jobs = [self._job("compressed", 0, pairs=few)]
        jobs += [self._job("placebo", seed) for seed in self._placebos]
        if self.pruned:
            jobs.append(self._job("mirrored", 0))
        elif few and places(self.chosen.stack.shape[1:]):
            # The longest begin first.
            jobs.insert(1, self._job("compressed", 0, universal=False, windows=True))
        return self._hunt(jobs)

    def windows_again(self, targets: tuple[int, ...]) -> list[SearchResult]:
        """Squares towards some classes, searched harder, on one half and on the other."""
        jobs = [
            self._job(
                "compressed", 0, universal=False, windows=True, swapped=swapped, targets=targets
            )
            for swapped in (False, True)
        ]
        return self._hunt(jobs)["windows"]

    def other_half(self) -> Found:
        """In the model and its placebos, with the halves swapped."""
        jobs = [self._job("compressed", 0, swapped=True)]
        jobs += [self._job("placebo", seed, swapped=True) for seed in self._placebos]
        # Where more placebos are searched as well, the time is to do for both.
        more = 0 if self.pruned else 2 * self.settings.placebos
        return self._hunt(jobs, later=more)

    def more_placebos(self) -> list[tuple[SearchResult, SearchResult]]:
        """As many placebos again, each searched on one half and on the other."""
        jobs = [
            self._job("placebo", seed, swapped=swapped)
            for seed in self._more_placebos
            for swapped in (False, True)
        ]
        found = self._hunt(jobs)["placebo"]
        return list(zip(found[::2], found[1::2], strict=True))

    def placebo_pairs(self) -> list[SearchResult]:
        """In the placebos, for what carries one class over to another."""
        jobs = [self._job("placebo", seed, universal=False, pairs=True) for seed in self._placebos]
        return self._hunt(jobs)["placebo"]

    def further_placebo(self) -> SearchJob:
        """The job of the first placebo that no search was made in."""
        return self._job("placebo", self._more_placebos.stop)

    @property
    def _placebos(self) -> range:
        """Their seeds."""
        first = self.settings.seed + 1
        return range(first, first + self.settings.placebos)

    @property
    def _more_placebos(self) -> range:
        """The seeds of those for a second look."""
        first = self._placebos.stop
        return range(first, first + self.settings.placebos)

    def _job(
        self, variant: Variant, seed: int, *, universal: bool = True,
        pairs: bool = False, swapped: bool = False, windows: bool = False,
        targets: tuple[int, ...] = (),
    ) -> SearchJob:  # fmt: skip
        halves = self.chosen.searched, self.chosen.held
        searched, held = reversed(halves) if swapped else halves
        return SearchJob(
            full=self.full,
            compressed=self.compressed,
            outputs=self.outputs,
            kind=self.kind,
            inputs=self.inputs,
            changed=self.changed,
            searched=searched,
            held=held,
            low=self.chosen.low,
            high=self.chosen.high,
            settings=SearchSettings(seed=self.settings.seed),
            deadline=self.deadline,
            variant=variant,
            seed=seed,
            universal=universal,
            pairs=pairs,
            calibrated=self.pruned,
            windows=windows,
            targets=targets,
        )

    def _hunt(self, jobs: list[SearchJob], later: int = 0) -> Found:
        """Run the jobs; ``later`` as many parts again are to be searched in the same time."""
        from devdiff.scanner.search_pool import cores, run_searches, time_shares

        parts = [job.parts for job in jobs]
        part = _FOR_SEARCHES * sum(parts) / (sum(parts) + later)
        jobs = [
            replace(job, share=part * share)
            for job, share in zip(jobs, time_shares(parts, cores()), strict=True)
        ]
        by_variant: dict[Variant | Literal["windows"], list[SearchResult]] = {
            "compressed": [],
            "placebo": [],
            "mirrored": [],
            "windows": [],
        }
        results = run_searches(jobs, self.folder, self.events.progress)
        for job, result in zip(jobs, results, strict=True):
            squares = job.windows and job.variant == "compressed"
            by_variant["windows" if squares else job.variant].append(result)
        own = (*by_variant["compressed"], *by_variant["windows"])
        self.efforts.extend(result.effort for result in own)
        return by_variant
