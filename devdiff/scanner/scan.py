"""The scan of one compressed model beside its full one: search, placebos, replay, verdict."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from devdiff.comparison.intervals import Proportion
from devdiff.errors import ComparisonError, ScanError, UndecidedError
from devdiff.exporter.errors import ArtifactError
from devdiff.report.model.scan import (
    DriftEvidence,
    IntegrityEvidence,
    ScanCost,
    ScanEvidence,
    ScanSamples,
    ScanSection,
    StaticEvidence,
    TwinFidelity,
    TwinsRecord,
)
from devdiff.scanner import replay, sample_selection, verdict_rules
from devdiff.scanner.carriers import carriers
from devdiff.scanner.evidence import EvidenceCollector
from devdiff.scanner.replay_result import to_show
from devdiff.scanner.report_section import ReportSection
from devdiff.scanner.sample_selection import FEWEST_SAMPLES
from devdiff.scanner.search_plan import Found, SearchPlan
from devdiff.scanner.transfer import transfer
from devdiff.system.typed_json import converted

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.options import ScanSettings
    from devdiff.progress import Events
    from devdiff.report.model.scan import ScanVerdict
    from devdiff.scanner.options import ScanSubject


def scan(
    subject: ScanSubject, settings: ScanSettings, folder: Path, timeout_s: float, events: Events
) -> ScanSection:
    """Scan, leave trigger and examples in ``folder``, and return the report's ``scan`` section.

    Whatever keeps the scan from being made is the verdict ``error`` with its reason, and too few
    samples are ``inconclusive``. Searches that
    an earlier, broken off scan finished in ``folder`` are taken over.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    verdict: ScanVerdict = "error"
    try:
        found = _Scan(subject, settings, folder, timeout_s, events, started).run()
        return structs.replace(found, cost=_cost(started))
    except UndecidedError as error:
        verdict, reason = "inconclusive", str(error)
    except (ScanError, ComparisonError, ArtifactError) as error:
        reason = str(error)
    except TimeoutError:
        reason = (
            f"the budget of {settings.budget_s:g} s is too small for the search and its "
            "placebos: give more with --budget, or fewer samples with --samples"
        )
    return ScanSection(verdict, reason, settings.seed, settings.budget_s, _cost(started))


def _cost(started: float) -> ScanCost:
    return ScanCost(round(time.monotonic() - started, 2))


class _Scan:
    """One scan while it is made."""

    def __init__(
        self,
        subject: ScanSubject,
        settings: ScanSettings,
        folder: Path,
        timeout_s: float,
        events: Events,
        started: float,
    ) -> None:
        self.subject, self.settings, self.folder = subject, settings, folder
        self.timeout_s, self.events = timeout_s, events
        self.deadline = started + settings.budget_s

    def run(self) -> ScanSection:
        self.events.phase("scan: reading both models")
        self._read()
        twins = self._check_twins()
        self._check_damage()
        evidence = self._static_evidence()
        self.searches = self._searches()
        count = self.searches.first_count
        self.events.phase(
            "scan: searching for triggers, in the model and its placebos, "
            f"{count} search{'' if count == 1 else 'es'}"
        )
        results = self.searches.first()
        evidence = structs.replace(evidence, drift=self._drift(results))
        self.events.phase("scan: replaying what was found")
        judge = self._judging()
        judged = [judge.universal(results)]
        cut = False
        if verdict_rules.wants_second_look(judged[0].evidence):
            self.events.phase("scan: a weak sign; searching again with the halves swapped")
            try:
                judged = judge.second_look(judged[0], results)
            except TimeoutError:
                cut = True
        try:
            if not verdict_rules.is_finding(judged[0].evidence):
                judged += judge.windows(results)
        except TimeoutError:
            cut = True
        if not any(verdict_rules.is_finding(trigger.evidence) for trigger in judged):
            judged += judge.pairs(results)
        self.events.phase("scan: putting the trigger on the model compressed otherwise")
        job = self.searches.further_placebo()
        shown = to_show(judged)
        halved = ScanSamples(
            searched=len(self.chosen.searched),
            held_out=len(self.chosen.held),
            swapped=any(trigger.measured.halves == 2 for trigger in judged),
        )
        transferred = transfer(job, shown.measured.parts, self.events.progress)
        finding = verdict_rules.is_finding(shown.evidence)
        carried = carriers(job, shown.measured.parts) if finding else None
        section = ReportSection(
            subject=self.subject,
            watched=self.watched,
            pruned=self.pruned,
            chosen=self.chosen,
            folder=self.folder,
            results=results,
            effort=min(self.searches.efforts),
            settings=self.settings,
            cut=cut,
            unfit=self._unfit(),
        )
        classes = self.clean[self.subject.full.name].shape[1]
        return structs.replace(
            section.conclude(judged, transferred, carried),
            compression=self._compression(),
            input=self.watched.input.source.name,
            output=self.watched.output,
            classes=classes if self.watched.kind == "classes" else None,
            samples=halved,
            twin=twins,
            evidence=evidence,
        )

    def _read(self) -> None:
        from devdiff.exporter.tflite_graph import read_graph
        from devdiff.scanner import placebo
        from devdiff.scanner.power import held_out_needed
        from devdiff.scanner.weights import pair_layers

        subject, samples = self.subject, self.subject.samples
        if len(samples) < FEWEST_SAMPLES:
            enough = 2 * held_out_needed(verdict_rules.STRONG)
            raise UndecidedError(
                f"a scan searches on one half of the samples and measures on the other; of "
                f"{len(samples)} too few are left to show any trigger: give {enough} or more with "
                "--inputs"
            )
        watched = sample_selection.resolve_target(subject, self.settings, self.events.note)
        self.clean = {
            rung.name: replay.real_outputs(subject.results[rung.name], watched)
            for rung in subject.rungs
        }
        if not all(np.isfinite(outputs).all() for outputs in self.clean.values()):
            raise ScanError(f"output {watched.output!r} is not finite for clean inputs")
        before = self.clean[subject.full.name]
        self.watched = sample_selection.measured(watched, before)
        self.chosen = sample_selection.choose(samples, self.watched, before, self.settings)
        self.graphs = read_graph(subject.full.model), read_graph(subject.compressed.model)
        self.layers = pair_layers(*self.graphs)
        self.pruned = placebo.is_pruned(self.layers)
        self.quantized = placebo.is_quantized(self.layers)
        self.inputs = self._keep_inputs()

    def _unfit(self) -> str:
        from devdiff.scanner.power import unfit_inputs

        before, samples = self.clean[self.subject.full.name], self.subject.samples
        if self.watched.kind != "classes" or samples.synthetic:
            return ""
        return unfit_inputs(before, samples.labels)

    def _keep_inputs(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """Every input of the chosen samples as a file, in the order of either graph."""
        bindings = {tensor.source.name: tensor for tensor in self.subject.full.inputs}
        kept: dict[str, Path] = {}
        for place, (name, binding) in enumerate(bindings.items()):
            kept[name] = self.folder / f"input-{place}.npy"
            changed = binding == self.watched.input
            np.save(
                kept[name],
                self.chosen.stack
                if changed
                else sample_selection.companions(self.subject.samples, binding, self.chosen.rows),
            )
        self.order = tuple(
            sample_selection.input_order(rung, graph)
            for rung, graph in zip(
                (self.subject.full, self.subject.compressed), self.graphs, strict=True
            )
        )
        full, compressed = (tuple(kept[name] for name in names) for names in self.order)
        return full, compressed

    def _compression(self) -> str:
        parts = ["prune"] * self.pruned + ["int8"] * self.quantized
        return "+".join(parts) or "none"

    def _check_twins(self) -> TwinsRecord:
        """Both twins against their interpreters. Raises `ScanError` when one is not faithful."""
        from devdiff.scanner.fidelity import check_fidelity
        from devdiff.scanner.twin import Twin

        found = []
        rungs = (self.subject.full, self.subject.compressed)
        for rung, graph, paths in zip(rungs, self.graphs, self.inputs, strict=True):
            place = sample_selection.output_place(rung, graph, self.watched)
            twin = Twin(graph, [graph.outputs[place]])
            stored = replay.stored_outputs(self.subject.results[rung.name], self.watched)
            fidelity = check_fidelity(
                twin,
                [stored[list(self.chosen.rows)]],
                [np.load(path, allow_pickle=False) for path in paths],
                [self.watched.kind == "classes"],
            )
            if fidelity.problem is not None:
                raise ScanError(f"{rung.name}: {fidelity.problem}")
            found.append(converted(TwinFidelity, fidelity.outputs[0]))
        full, compressed = found
        return TwinsRecord(full, compressed)

    def _check_damage(self) -> None:
        """Raises `ScanError` for a compressed model too far from the full one to be searched."""
        if self.watched.kind != "classes":
            return
        full, compressed = (
            self.clean[rung.name].argmax(1) for rung in (self.subject.full, self.subject.compressed)
        )
        changed = Proportion.of(int((full != compressed).sum()), len(full))
        if changed.low > verdict_rules.MOST_DAMAGE:
            raise ScanError(
                f"compression alone changes {changed.successes} of {changed.trials} answers to "
                "clean inputs; where so much is hurt, a search for what only the compressed model "
                "does means nothing: mend the compression first"
            )

    def _static_evidence(self) -> ScanEvidence:
        """What needs no search; a part that cannot be had says why."""
        if not self.quantized:
            reason = "there are no int8 weights"
            return ScanEvidence(
                integrity=IntegrityEvidence("skipped", skipped=reason),
                static=StaticEvidence("skipped", skipped=reason),
            )
        return ScanEvidence(integrity=self._integrity(), static=self._static())

    def _integrity(self) -> IntegrityEvidence:
        from devdiff.scanner.integrity import check_integrity

        try:
            found = check_integrity(*self.graphs, zeros_allowed=self.pruned)
        except (ScanError, ArtifactError) as error:
            return IntegrityEvidence("error", error=str(error))
        return converted(IntegrityEvidence, found)

    def _static(self) -> StaticEvidence:
        from devdiff.scanner import static

        try:
            found = static.look(self.layers)
        except (ScanError, ArtifactError) as error:
            return StaticEvidence("error", error=str(error))
        return converted(StaticEvidence, found)

    def _searches(self) -> SearchPlan:
        full, compressed = self.subject.full, self.subject.compressed
        places = tuple(
            sample_selection.output_place(rung, graph, self.watched)
            for rung, graph in zip((full, compressed), self.graphs, strict=True)
        )
        name = self.watched.input.source.name
        return SearchPlan(
            full=full.model,
            compressed=compressed.model,
            outputs=(places[0], places[1]),
            kind=self.watched.kind,
            classes=self.clean[full.name].shape[1],
            inputs=self.inputs,
            changed=(self.order[0].index(name), self.order[1].index(name)),
            chosen=self.chosen,
            pruned=self.pruned,
            settings=self.settings,
            deadline=self.deadline,
            folder=self.folder,
            events=self.events,
        )

    def _judging(self) -> EvidenceCollector:
        return EvidenceCollector(
            subject=self.subject,
            watched=self.watched,
            chosen=self.chosen,
            clean=self.clean,
            pruned=self.pruned,
            searches=self.searches,
            folder=self.folder / "replay",
            timeout_s=self.timeout_s,
        )

    def _drift(self, results: Found) -> DriftEvidence:
        from devdiff.scanner.drift import drift

        (model,) = results["compressed"]
        placebos = [result.compressed for result in results["placebo"]]
        classes = self.watched.kind == "classes"
        try:
            found = drift(model.full, model.compressed, placebos, classifier=classes)
        except ScanError as error:
            return DriftEvidence("error", error=str(error))
        return converted(DriftEvidence, found)
