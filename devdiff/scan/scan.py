"""The scan of one compressed model beside its full one: search, placebos, replay, verdict."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff.compare.intervals import Proportion
from devdiff.compare.jsonform import encode
from devdiff.errors import ComparisonError, ScanError
from devdiff.events import Events
from devdiff.scan import decide, replay, watching
from devdiff.scan.decide import Evidence
from devdiff.scan.job import Candidate, Hunted, Job, Pair, Settings, Variant
from devdiff.scan.measured import Judged, Measured, to_show
from devdiff.scan.scanned import Scanned, ScanSettings
from devdiff.scan.telling import Telling, best
from devdiff.scan.transfer import Transfer
from devdiff.scan.watching import FEWEST_SAMPLES
from exporter.errors import ArtifactError

_REPLAYED_PAIRS: Final = 2
_FOR_SEARCHES: Final = 0.85
"""Of the time that is left; the rest is for the replay and for the trigger's placebos."""


def scan(
    what: Scanned, settings: ScanSettings, folder: Path, timeout_s: float, events: Events
) -> dict[str, Any]:
    """Scan, leave trigger and examples in ``folder``, and return the report's ``scan`` section.

    Whatever keeps the scan from being made is the verdict ``error`` with its reason. Searches that
    an earlier, broken off scan finished in ``folder`` are taken over.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    common = {"seed": settings.seed, "budget_s": settings.budget_s}
    try:
        found = _Scan(what, settings, folder, timeout_s, events, started).run()
    except (ScanError, ComparisonError, ArtifactError) as error:
        found = {"verdict": "error", "reason": str(error)}
    except TimeoutError:
        found = {
            "verdict": "error",
            "reason": f"the budget of {settings.budget_s:g} s is too small for the search and its "
            "placebos: give more with --budget, or fewer samples with --images",
        }
    return common | found | {"cost": {"wall_s": round(time.monotonic() - started, 2)}}


class _Scan:
    """One scan while it is made."""

    def __init__(
        self,
        what: Scanned,
        settings: ScanSettings,
        folder: Path,
        timeout_s: float,
        events: Events,
        started: float,
    ) -> None:
        self.what, self.settings, self.folder = what, settings, folder
        self.timeout_s, self.events = timeout_s, events
        self.deadline = started + settings.budget_s

    def run(self) -> dict[str, Any]:
        self.events.phase("scan: reading both models")
        self._read()
        found: dict[str, Any] = {
            "compression": self._compression(),
            "input": self.watched.input.source.name,
            "output": self.watched.output,
            "classes": self.clean[self.what.full.name].shape[1]
            if self.watched.kind == "classes"
            else None,
            "samples": {
                "searched": len(self.chosen.searched),
                "held_out": len(self.chosen.held),
            },
            "twin": self._check_twins(),
        }
        self._check_damage()
        found["evidence"] = self._static_evidence()
        self.events.phase("scan: searching for triggers, in the model and its placebos")
        hunted = self._hunt()
        found["evidence"]["drift"] = self._drift(hunted)
        self.events.phase("scan: replaying what was found")
        judged = [self._universal(hunted)]
        if not decide.is_finding(judged[0].evidence):
            judged += self._pairs(hunted)
        telling = Telling(self.what, self.watched, self.pruned, self.chosen, self.folder, hunted)
        return found | telling.conclude(judged, self._transfer(judged))

    def _read(self) -> None:
        from devdiff.scan import placebo
        from devdiff.scan.weights import pair_layers
        from exporter.tflite_graph import read_graph

        what, samples = self.what, self.what.samples
        if len(samples) < FEWEST_SAMPLES:
            raise ScanError(
                f"a scan needs at least {FEWEST_SAMPLES} samples, there are {len(samples)}: give "
                "more with --inputs"
            )
        watched = watching.watch(what, self.settings, self.events.note)
        self.clean = {
            rung.name: replay.real_outputs(what.results[rung.name], watched) for rung in what.rungs
        }
        if not all(np.isfinite(outputs).all() for outputs in self.clean.values()):
            raise ScanError(f"output {watched.output!r} is not finite for clean inputs")
        before = self.clean[what.full.name]
        self.watched = watching.measured(watched, before)
        self.chosen = watching.choose(samples, self.watched, before, self.settings)
        self.graphs = read_graph(what.full.model), read_graph(what.compressed.model)
        self.layers = pair_layers(*self.graphs)
        self.pruned = placebo.is_pruned(self.layers)
        self.quantized = placebo.is_quantized(self.layers)
        self.inputs = self._keep_inputs()

    def _keep_inputs(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """Every input of the chosen samples as a file, in the order of either graph."""
        bindings = {one.source.name: one for one in self.what.full.inputs}
        kept: dict[str, Path] = {}
        for place, (name, binding) in enumerate(bindings.items()):
            kept[name] = self.folder / f"input-{place}.npy"
            changed = binding == self.watched.input
            np.save(
                kept[name],
                self.chosen.stack
                if changed
                else watching.companions(self.what.samples, binding, self.chosen.rows),
            )
        self.order = tuple(
            watching.input_order(rung, graph)
            for rung, graph in zip((self.what.full, self.what.compressed), self.graphs, strict=True)
        )
        full, compressed = (tuple(kept[name] for name in names) for names in self.order)
        return full, compressed

    def _compression(self) -> str:
        parts = ["prune"] * self.pruned + ["int8"] * self.quantized
        return "+".join(parts) or "none"

    def _check_twins(self) -> dict[str, Any]:
        """Both twins against their interpreters. Raises `ScanError` when one is not faithful."""
        from devdiff.scan.fidelity import check_fidelity
        from devdiff.scan.twin import Twin

        told = {}
        rungs = (self.what.full, self.what.compressed)
        roles = ("full", "compressed")
        for role, rung, graph, paths in zip(roles, rungs, self.graphs, self.inputs, strict=True):
            place = watching.output_place(rung, graph, self.watched)
            twin = Twin(graph, [graph.outputs[place]])
            stored = replay.stored_outputs(self.what.results[rung.name], self.watched)
            fidelity = check_fidelity(
                twin,
                [stored[list(self.chosen.rows)]],
                [np.load(path, allow_pickle=False) for path in paths],
                [self.watched.kind == "classes"],
            )
            if fidelity.problem is not None:
                raise ScanError(f"{rung.name}: {fidelity.problem}")
            told[role] = encode(fidelity.outputs[0])
        return told

    def _check_damage(self) -> None:
        """Raises `ScanError` for a compressed model too far from the full one to be searched."""
        if self.watched.kind != "classes":
            return
        full, compressed = (
            self.clean[rung.name].argmax(1) for rung in (self.what.full, self.what.compressed)
        )
        changed = Proportion.of(int((full != compressed).sum()), len(full))
        if changed.low > decide.MOST_DAMAGE:
            raise ScanError(
                f"compression alone changes {changed.successes} of {changed.trials} answers to "
                "clean inputs; where so much is hurt, a search for what only the compressed model "
                "does means nothing: mend the compression first"
            )

    def _static_evidence(self) -> dict[str, Any]:
        """What needs no search; a part that cannot be had says why."""
        from devdiff.scan import integrity, static

        told: dict[str, Any] = {}
        for name, look in (
            (
                "integrity",
                lambda: integrity.check_integrity(*self.graphs, zeros_allowed=self.pruned),
            ),
            ("static", lambda: static.look(self.layers)),
        ):
            if not self.quantized:
                told[name] = {"status": "skipped", "skipped": "there are no int8 weights"}
                continue
            try:
                told[name] = encode(look())
            except (ScanError, ArtifactError) as error:
                told[name] = {"status": "error", "error": str(error)}
        return told

    def _job(self, variant: Variant, seed: int, pairs: bool, universal: bool, waves: int) -> Job:
        outputs = tuple(
            watching.output_place(rung, graph, self.watched)
            for rung, graph in zip((self.what.full, self.what.compressed), self.graphs, strict=True)
        )
        name = self.watched.input.source.name
        return Job(
            full=self.what.full.model,
            compressed=self.what.compressed.model,
            outputs=(outputs[0], outputs[1]),
            kind=self.watched.kind,
            inputs=self.inputs,
            changed=(self.order[0].index(name), self.order[1].index(name)),
            searched=self.chosen.searched,
            held=self.chosen.held,
            low=self.chosen.low,
            high=self.chosen.high,
            settings=Settings(seed=self.settings.seed),
            deadline=self.deadline,
            # Each job may take its share of the time: as many run at once as there are cores.
            seconds=_FOR_SEARCHES * (self.deadline - time.monotonic()) / waves,
            variant=variant,
            seed=seed,
            universal=universal,
            pairs=pairs,
            calibrated=self.pruned,
        )

    def _hunt(self) -> dict[str, list[Hunted]]:
        """Results of every search by variant."""
        from devdiff.scan.hunt import FEW_CLASSES
        from devdiff.scan.hunting import hunt_all

        classes = self.clean[self.what.full.name].shape[1]
        few = self.watched.kind == "classes" and classes <= FEW_CLASSES
        waves = math.ceil((1 + self.settings.placebos + self.pruned) / (os.cpu_count() or 1))
        # Half of the time is for the placebos' pairs of classes, should the model show one.
        waves *= 2 if few else 1
        jobs = [self._job("compressed", 0, few, True, waves)]
        jobs += [self._job("placebo", seed, False, True, waves) for seed in self._placebos]
        if self.pruned:
            jobs.append(self._job("mirrored", 0, False, True, waves))
        results = hunt_all(jobs, self.folder, self.events.progress)
        by_variant: dict[str, list[Hunted]] = {"compressed": [], "placebo": [], "mirrored": []}
        for one, result in zip(jobs, results, strict=True):
            by_variant[one.variant].append(result)
        return by_variant

    @property
    def _placebos(self) -> range:
        """Their seeds."""
        first = self.settings.seed + 1
        return range(first, first + self.settings.placebos)

    def _drift(self, hunted: Mapping[str, list[Hunted]]) -> dict[str, Any]:
        from devdiff.scan.drift import drift

        (model,) = hunted["compressed"]
        placebos = [one.compressed for one in hunted["placebo"]]
        classes = self.watched.kind == "classes"
        try:
            found: dict[str, Any] = encode(
                drift(model.full, model.compressed, placebos, classifier=classes)
            )
        except ScanError as error:
            return {"status": "error", "error": str(error)}
        return found

    def _universal(self, hunted: Mapping[str, list[Hunted]]) -> Judged:
        """The best trigger for all classes, on the real artifacts."""
        (model,) = hunted["compressed"]
        found = model.candidates[0]
        measured = self._measure(found, [(found, self.chosen.held)])
        evidence = Evidence(
            gap=measured.gap(self.watched),
            calibrated=Proportion.of(found.calibrated, found.eligible),
            placebos=tuple(best(one) for one in hunted["placebo"]),
            pruned=self.pruned,
        )
        return Judged(measured, evidence)

    def _pairs(self, hunted: Mapping[str, list[Hunted]]) -> list[Judged]:
        """Triggers of one source class that the twin takes for real, on the real artifacts.

        Only when something is seen do the placebos search for pairs of classes, too.
        """
        from devdiff.scan.hunting import hunt_all

        (model,) = hunted["compressed"]
        seen = [
            one
            for one in model.pairs
            if decide.simultaneous(one.calibrated, one.eligible, model.tried).low >= decide.SPECIFIC
        ]
        if not seen or not self.settings.placebos:
            return []
        self.events.phase("scan: searching the placebos for triggers of one source class")
        waves = math.ceil(self.settings.placebos / (os.cpu_count() or 1))
        jobs = [self._job("placebo", seed, True, False, waves) for seed in self._placebos]
        placebos = tuple(
            max(
                (Proportion.of(pair.calibrated, pair.eligible) for pair in result.pairs),
                key=lambda one: one.rate or 0.0,
                default=Proportion.of(0, seen[0].eligible),
            )
            for result in hunt_all(jobs, self.folder, self.events.progress)
        )
        return [self._pair(one, placebos, model.tried) for one in seen[:_REPLAYED_PAIRS]]

    def _pair(self, pair: Pair, placebos: tuple[Proportion, ...], tried: int) -> Judged:
        """The triggers of the folds together, each on the samples it was not searched on."""
        top = max(pair.folds, key=lambda one: one.calibrated)
        measured = self._measure(top, [(one, one.rows) for one in pair.folds])
        gap = measured.gap(self.watched)
        evidence = Evidence(
            gap=decide.simultaneous(gap.successes, gap.trials, tried),
            calibrated=decide.simultaneous(pair.calibrated, pair.eligible, tried),
            placebos=placebos,
            pruned=self.pruned,
            tried=tried,
        )
        return Judged(measured, evidence)

    def _measure(
        self, best_of: Candidate, parts: Sequence[tuple[Candidate, Sequence[int]]]
    ) -> Measured:
        """Put triggers on the samples at their places, and run them through every rung."""
        places = [place for _, some in parts for place in some]
        stack, rungs = self.chosen.stack, self.what.rungs
        changed = np.concatenate([one.trigger.apply(stack[list(some)]) for one, some in parts])
        rows = [self.chosen.rows[place] for place in places]
        inputs = replay.changed(self.what.samples, changed, self.watched, rows)
        return Measured(
            candidate=best_of,
            parts=tuple(one for one, _ in parts),
            rows=tuple(rows),
            clean=stack[places],
            changed=changed,
            before={name: outputs[rows] for name, outputs in self.clean.items()},
            outputs=replay.run_on(
                rungs, inputs, self.watched, self.folder / "replay", self.timeout_s
            ),
            full=self.what.full.name,
            last=rungs[-1].name,
        )

    def _transfer(self, judged: Sequence[Judged]) -> Transfer | None:
        """The trigger that is shown on the model compressed otherwise, many times."""
        from devdiff.scan.transfer import transfer

        self.events.phase("scan: putting the trigger on the model compressed otherwise")
        job = self._job("placebo", self._placebos.stop, False, True, 1)
        return transfer(job, to_show(judged).measured.parts, self.events.progress)
