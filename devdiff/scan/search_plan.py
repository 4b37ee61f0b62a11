"""The searches of a scan: in the model, in its placebos, and with the models' roles swapped."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devdiff.progress import Events
from devdiff.scan.options import ScanSettings
from devdiff.scan.sample_selection import SampleSelection
from devdiff.scan.search_job import Kind, SearchJob, SearchResult, SearchSettings, Variant

_FOR_SEARCHES: Final = 0.85
"""Of the time that is left; the rest is for the replay and for the trigger's placebos."""

Found = Mapping[Variant, list[SearchResult]]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What all searches of one scan have in common; the fields are those of `SearchJob`.

    Every search may take its share of the time that is left until ``deadline``: as many run at
    once as there are cores. Raise what `run_searches` raises.
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

    def first(self) -> Found:
        """On one half of the samples, measured on the other."""
        from devdiff.scan.trigger_search import FEW_CLASSES

        few = self.kind == "classes" and self.classes <= FEW_CLASSES
        waves = self._waves(1 + self.settings.placebos + self.pruned)
        # Half of the time is for a second look or the placebos' pairs of classes, should the model
        # give a reason.
        waves *= 2 if few else 1
        jobs = [self._job("compressed", 0, waves, pairs=few)]
        jobs += [self._job("placebo", seed, waves) for seed in self._placebos]
        if self.pruned:
            jobs.append(self._job("mirrored", 0, waves))
        return self._hunt(jobs)

    def other_half(self) -> Found:
        """In the model and its placebos, with the halves swapped."""
        # Where more placebos are searched as well, the time is to do for both.
        waves = self._waves(1 + self.settings.placebos * (1 if self.pruned else 3))
        jobs = [self._job("compressed", 0, waves, swapped=True)]
        jobs += [self._job("placebo", seed, waves, swapped=True) for seed in self._placebos]
        return self._hunt(jobs)

    def more_placebos(self) -> list[tuple[SearchResult, SearchResult]]:
        """As many placebos again, each searched on one half and on the other."""
        seeds = self._more_placebos
        waves = self._waves(2 * len(seeds))
        jobs = [
            self._job("placebo", seed, waves, swapped=swapped)
            for seed in seeds
            for swapped in (False, True)
        ]
        found = self._hunt(jobs)["placebo"]
        return list(zip(found[::2], found[1::2], strict=True))

    def placebo_pairs(self) -> list[SearchResult]:
        """In the placebos, for what carries one class over to another."""
        waves = self._waves(self.settings.placebos)
        jobs = [
            self._job("placebo", seed, waves, universal=False, pairs=True)
            for seed in self._placebos
        ]
        return self._hunt(jobs)["placebo"]

    def further_placebo(self) -> SearchJob:
        """The job of the first placebo that no search was made in."""
        return self._job("placebo", self._more_placebos.stop, 1)

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

    def _waves(self, jobs: int) -> int:
        return math.ceil(jobs / (os.cpu_count() or 1))

    def _job(
        self, variant: Variant, seed: int, waves: int, *, universal: bool = True,
        pairs: bool = False, swapped: bool = False,
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
            seconds=_FOR_SEARCHES * (self.deadline - time.monotonic()) / waves,
            variant=variant,
            seed=seed,
            universal=universal,
            pairs=pairs,
            calibrated=self.pruned,
        )

    def _hunt(self, jobs: list[SearchJob]) -> Found:
        from devdiff.scan.search_pool import run_searches

        found: dict[Variant, list[SearchResult]] = {"compressed": [], "placebo": [], "mirrored": []}
        results = run_searches(jobs, self.folder, self.events.progress)
        for job, result in zip(jobs, results, strict=True):
            found[job.variant].append(result)
        return found
