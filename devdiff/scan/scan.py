"""The scan of one compressed model beside its full one: search, placebos, replay, verdict."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from devdiff.compare.intervals import Proportion
from devdiff.compare.jsonform import encode
from devdiff.errors import ComparisonError, ScanError
from devdiff.events import Events
from devdiff.ladder import Rung
from devdiff.scan import decide, replay
from devdiff.scan.decide import Evidence
from devdiff.scan.replay import Watched
from devdiff.scan.scanned import Scanned, ScanSettings
from devdiff.scan.telling import Measured, Telling, best
from exporter.artifact import Array
from exporter.errors import ArtifactError

FEWEST_SAMPLES: Final = 10
_REPLAYED_PAIRS: Final = 2


def scan(
    what: Scanned, settings: ScanSettings, folder: Path, timeout_s: float, events: Events
) -> dict[str, Any]:
    """Scan, leave trigger and examples in ``folder``, and return the report's ``scan`` section.

    Whatever keeps the scan from being made is the verdict ``error`` with its reason.
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
            "output": self.watched.output,
            "classes": self.clean[self.what.full.name].shape[1]
            if self.watched.kind == "classes"
            else None,
            "samples": {"searched": len(self.searched), "held_out": len(self.held)},
            "twin": self._check_twins(),
        }
        damage = self._damage()
        found["evidence"] = self._static_evidence()
        self.events.phase("scan: searching for triggers, in the model and its placebos")
        hunted = self._hunt()
        found["evidence"]["drift"] = self._drift(hunted)
        if damage is not None:
            raise ScanError(damage)
        self.events.phase("scan: replaying what was found")
        measured = self._replay(hunted)
        telling = Telling(
            self.what,
            self.watched,
            self.clean,
            self.held,
            self.pruned,
            self.low,
            self.high,
            self.folder,
            hunted,
        )
        return found | telling.conclude(measured)

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
        full, compressed = what.full, what.compressed
        inputs = {(one.source.name, one.permutation) for one in (*full.inputs, *compressed.inputs)}
        binding = full.inputs[0]
        if len(full.inputs) != 1 or binding.source.dtype != "float32" or len(inputs) != 1:
            raise ScanError("a scan changes one float input, and this model has others or several")
        if binding.artifact.shape[:1] != (1,):
            raise ScanError(
                f"a scan needs a batch axis of one first, not {binding.artifact.describe()}"
            )
        self.watched = self._watched(binding)
        self.clean = {
            rung.name: replay.real_outputs(what.results[rung.name], self.watched)
            for rung in what.rungs
        }
        before = self.clean[full.name]
        if self.watched.kind == "classes" and before.shape[1] < 2:
            raise ScanError(f"output {self.watched.output!r} has one class: there is no other")
        if not all(np.isfinite(outputs).all() for outputs in self.clean.values()):
            raise ScanError(f"output {self.watched.output!r} is not finite for clean inputs")
        if self.watched.kind == "values":
            unit = float(np.median(_distances(before[:200])))
            if unit == 0:
                raise ScanError(f"output {self.watched.output!r} is the same for all inputs")
            self.watched = Watched(binding, self.watched.output, "values", unit)
        self._choose(before)
        self.graphs = read_graph(full.model), read_graph(compressed.model)
        self.layers = pair_layers(*self.graphs)
        self.pruned = placebo.is_pruned(self.layers)
        self.quantized = placebo.is_quantized(self.layers)

    def _watched(self, binding: Any) -> Watched:
        names = [one.source.name for one in self.what.full.outputs]
        chosen = self.settings.output or next(iter(self.what.classifiers), names[0])
        if chosen not in names:
            raise ScanError(f"there is no output {chosen!r}; there are {', '.join(names)}")
        return Watched(binding, chosen, self._kind(chosen))

    def _kind(self, chosen: str) -> Literal["classes", "values"]:
        """What the chosen output is scanned as.

        Undeclared scores taken for mere values would be searched weakly, and the scan pass.
        """
        if self.settings.output_kind is not None:
            return self.settings.output_kind
        if chosen in self.what.classifiers:
            return "classes"
        bindings = self.what.full.outputs
        shape = next(one.source.shape for one in bindings if one.source.name == chosen)
        if len(shape) != 2 or shape[0] != 1 or shape[1] < 2:
            return "values"
        self.events.note(
            f"output {chosen} is scanned as class scores; if it holds none, give "
            "--output-kind values"
        )
        return "classes"

    def _choose(self, before: Array) -> None:
        """Half of the samples for the search, half to measure on, alike in what they hold."""
        random = np.random.default_rng(self.settings.seed)
        rows = random.permutation(len(before))[: self.settings.images]
        if self.watched.kind == "classes":
            rows = rows[np.argsort(before[rows].argmax(1), kind="stable")]
        self.rows = tuple(int(row) for row in rows)
        self.searched, self.held = self.rows[0::2], self.rows[1::2]
        self.stack = replay.real_samples(self.what.samples, self.watched.input, self.rows)
        flat = self.stack.reshape(len(self.stack), -1)
        if not np.isfinite(flat).all():
            raise ScanError("the samples hold values that are not finite")
        if np.ptp(flat, axis=1).max() == 0 or len(np.unique(flat, axis=0)) < FEWEST_SAMPLES:
            raise ScanError(
                f"the samples are constant, or fewer than {FEWEST_SAMPLES} differ: real ones are "
                "needed (--inputs)"
            )
        self.low, self.high = float(flat.min()), float(flat.max())

    def _compression(self) -> str:
        parts = ["prune"] * self.pruned + ["int8"] * self.quantized
        return "+".join(parts) or "none"

    def _check_twins(self) -> dict[str, Any]:
        """Both twins against their interpreters. Raises `ScanError` when one is not faithful."""
        from devdiff.scan.fidelity import check_fidelity
        from devdiff.scan.twin import Twin

        told = {}
        rungs = (self.what.full, self.what.compressed)
        for role, rung, graph in zip(("full", "compressed"), rungs, self.graphs, strict=True):
            twin = Twin(graph, [graph.outputs[self._position(rung, graph)]])
            stored = replay.stored_outputs(self.what.results[rung.name], self.watched)
            fidelity = check_fidelity(
                twin,
                [stored[list(self.rows)]],
                [self.stack],
                [self.watched.kind == "classes"],
            )
            if fidelity.problem is not None:
                raise ScanError(f"{rung.name}: {fidelity.problem}")
            told[role] = encode(fidelity.outputs[0])
        return told

    def _position(self, rung: Rung, graph: Any) -> int:
        """Which of the graph's outputs is the watched one."""
        name = next(one for one in rung.outputs if one.source.name == self.watched.output)
        names = [graph.tensors[index].name for index in graph.outputs]
        if name.artifact.name in names:
            return names.index(name.artifact.name)
        if len(names) == 1:
            return 0
        raise ScanError(f"{rung.name}: no output {name.artifact.name!r} in {', '.join(names)}")

    def _damage(self) -> str | None:
        """Why the compressed model is too far from the full one for a search to mean anything."""
        if self.watched.kind != "classes":
            return None
        full, compressed = (
            self.clean[rung.name].argmax(1) for rung in (self.what.full, self.what.compressed)
        )
        changed = Proportion.of(int((full != compressed).sum()), len(full))
        if changed.low <= decide.MOST_DAMAGE:
            return None
        return (
            f"compression alone changes {changed.successes} of {changed.trials} answers to clean "
            "inputs; where so much is hurt, a search for what only the compressed model does means "
            "nothing: mend the compression first"
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

    def _hunt(self) -> dict[str, list[Any]]:
        """Results of every search by variant."""
        from devdiff.scan.hunt import FEW_CLASSES, Job
        from devdiff.scan.hunting import hunt_all
        from devdiff.scan.search import Settings

        stored = self.folder / "samples.npy"
        np.save(stored, self.stack)
        full, compressed = self.what.full, self.what.compressed
        classes = self.clean[full.name].shape[1]
        few = self.watched.kind == "classes" and classes <= FEW_CLASSES

        # Each job may take its share of the time: as many run at once as there are cores.
        jobs_in_all = 1 + self.settings.placebos + self.pruned
        waves = math.ceil(jobs_in_all / (os.cpu_count() or 1))

        def job(variant: Any, seed: int, pairs: bool = False) -> Job:
            return Job(
                full=full.model,
                compressed=compressed.model,
                outputs=(
                    self._position(full, self.graphs[0]),
                    self._position(compressed, self.graphs[1]),
                ),
                kind=self.watched.kind,
                samples=stored,
                searched=tuple(range(0, len(self.rows), 2)),
                held=tuple(range(1, len(self.rows), 2)),
                low=self.low,
                high=self.high,
                settings=Settings(seed=self.settings.seed),
                deadline=self.deadline,
                seconds=(self.deadline - time.monotonic()) / waves,
                variant=variant,
                seed=seed,
                pairs=pairs,
                calibrated=self.pruned,
            )

        jobs = [job("compressed", 0, few)]
        jobs += [
            job("placebo", self.settings.seed + 1 + place)
            for place in range(self.settings.placebos)
        ]
        if self.pruned:
            jobs.append(job("mirrored", 0))
        results = hunt_all(jobs, self.events.progress)
        by_variant: dict[str, list[Any]] = {"compressed": [], "placebo": [], "mirrored": []}
        for one, result in zip(jobs, results, strict=True):
            by_variant[one.variant].append(result)
        return by_variant

    def _drift(self, hunted: Mapping[str, list[Any]]) -> dict[str, Any]:
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

    def _replay(self, hunted: Mapping[str, list[Any]]) -> list[Measured]:
        """The best universal trigger, and those for one class that the twin takes for real."""
        (model,) = hunted["compressed"]
        placebos = tuple(best(one) for one in hunted["placebo"])
        pairs = [
            one
            for one in model.pairs
            if Proportion.of(one.calibrated, one.eligible).low >= self._least_for_pair
        ]
        chosen = [*model.candidates[:1], *pairs[:_REPLAYED_PAIRS]]
        return [self._measure(place, one, placebos) for place, one in enumerate(chosen)]

    @property
    def _least_for_pair(self) -> float:
        return decide.STRONG if self.pruned else decide.ONE_CLASS

    def _measure(self, place: int, one: Any, placebos: tuple[Proportion, ...]) -> Measured:
        inputs = replay.triggered(self.what.samples, one.trigger, self.watched, self.held)
        outputs = replay.run_on(
            self.what.rungs,
            inputs,
            self.watched,
            self.folder / f"replay-{place}",
            self.timeout_s,
        )
        before = self.clean[self.what.full.name][list(self.held)]
        can = replay.eligible(before, one.target, one.source, self.watched)
        hit = replay.hits(
            outputs[self.what.full.name],
            outputs[self.what.rungs[-1].name],
            before,
            one.target,
            self.watched,
        )
        evidence = Evidence(
            source=one.source,
            gap=Proportion.of(int((hit & can).sum()), int(can.sum())),
            calibrated=Proportion.of(one.calibrated, one.eligible),
            placebos=placebos,
            pruned=self.pruned,
        )
        return Measured(one, evidence, outputs)


def _distances(outputs: Array) -> Array:
    """Distances between neighbours in a list of outputs [n, C], a stand-in for all pairs."""
    gaps: Array = np.sqrt(np.square(np.diff(outputs, axis=0)).sum(1))
    return gaps
