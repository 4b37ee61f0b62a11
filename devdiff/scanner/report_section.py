"""What a scan says in the end: its verdict, the rates behind it, and the pictures beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import structs

from devdiff.comparison.intervals import Proportion
from devdiff.options import ScanSettings
from devdiff.report.model.scan import (
    CarrierRecord,
    CarriersRecord,
    ClassReplay,
    Effect,
    ExampleRecord,
    HypothesisRecord,
    ModelAnswers,
    PlaceboRecord,
    PowerRecord,
    ReplayRecord,
    RungReplay,
    ScanCost,
    ScanSection,
    ScanVerdict,
    Threat,
    TriggerRecord,
)
from devdiff.scanner import verdict_rules
from devdiff.scanner.evidence import best
from devdiff.scanner.options import ScanSubject
from devdiff.scanner.power import LEAST_DONE, Power
from devdiff.scanner.replay import ScanTarget
from devdiff.scanner.replay_result import JudgedTrigger, ReplayResult, to_show
from devdiff.scanner.sample_selection import SampleSelection
from devdiff.scanner.search_plan import Found
from devdiff.system.atomic_file import whole_bytes
from devdiff.system.typed_json import converted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from devdiff.exporter.artifact import Array
    from devdiff.scanner.carriers import Carriers
    from devdiff.scanner.search_job import Candidate
    from devdiff.scanner.transfer import Transfer

_EXAMPLES: Final = 8
_WAKES: Final = {
    "rounding": "weights are rounded",
    "clipping": "activations are clipped to the calibrated ranges",
    "pruning": "weights are pruned",
}
_CURES: Final = {
    "rounding": "re-round or train on with quantization",
    "clipping": "recalibrate with other data, or widen the ranges",
    "pruning": "prune otherwise, or train on after it",
}
TAXONOMY: Final = (
    Threat(
        "AML.T0018.000",
        "MITRE ATLAS: Poison AI Model",
        "https://atlas.mitre.org/techniques/AML.T0018.000",
    ),
    Threat(
        "AML.T0010.003",
        "MITRE ATLAS: AI Supply Chain Compromise: Model",
        "https://atlas.mitre.org/techniques/AML.T0010.003",
    ),
    Threat(
        "ML06:2023",
        "OWASP Machine Learning Security: AI Supply Chain Attacks",
        "https://owasp.org/www-project-machine-learning-security-top-10/",
    ),
    Threat(
        "ML10:2023",
        "OWASP Machine Learning Security: Model Poisoning",
        "https://owasp.org/www-project-machine-learning-security-top-10/",
    ),
)


@dataclass(frozen=True, slots=True)
class ReportSection:
    """All that a conclusion is drawn from.

    ``results`` are those of the searches, by variant. ``effort`` is the part of the search that the
    budget allowed, ``cut`` says that it left no time for a second look that was wanted. ``unfit``
    says why the inputs are not the model's own.
    """

    subject: ScanSubject
    watched: ScanTarget
    pruned: bool
    chosen: SampleSelection
    folder: Path
    results: Found
    effort: float
    settings: ScanSettings
    cut: bool
    unfit: str

    def conclude(
        self,
        judged: Sequence[JudgedTrigger],
        transfer: Transfer | None,
        carriers: Carriers | None = None,
    ) -> ScanSection:
        """The section but for what was known before the search, and what it cost."""
        carried = carriers_record(carriers) if carriers is not None else None
        shown = to_show(judged)
        evidence, candidate = shown.evidence, shown.measured.candidate
        finding = verdict_rules.is_finding(evidence)
        kind = verdict_rules.kind(evidence) if finding else None
        (model,) = self.results["compressed"]
        power = self._power(judged[0])
        verdict: ScanVerdict = "inconclusive" if power.lacking else "no finding"
        return ScanSection(
            verdict="finding" if finding else verdict,
            reason=self._reason(shown, kind, power.text, carried),
            seed=self.settings.seed,
            budget_s=self.settings.budget_s,
            cost=ScanCost(0.0),
            kind=kind,
            power=PowerRecord(
                smallest_effect=power.effect,
                samples=power.samples,
                text=power.text,
                effort=power.effort,
                least_effort=LEAST_DONE,
            ),
            trigger=TriggerRecord(
                form=candidate.trigger.form,
                size=candidate.trigger.size,
                target=candidate.target,
                source=candidate.source,
                file="scan/trigger.npz",
                shape=candidate.trigger.pattern.shape,
                success=candidate.success,
                steps=candidate.steps,
                low=self.chosen.low,
                high=self.chosen.high,
            ),
            replay=self._rates(shown),
            calibrated=evidence.calibrated,
            placebo=self._placebo(shown, transfer),
            carriers=carried,
            hypotheses=(
                *(
                    _hypothesis(hypothesis, hypothesis.calibrated, hypothesis.eligible)
                    for hypothesis in model.candidates
                ),
                *(
                    _hypothesis(window, window.calibrated, window.eligible)
                    for result in self.results["windows"]
                    for window in result.windows
                ),
                *(
                    _hypothesis(max(pair.folds, key=_hits), pair.calibrated, pair.eligible)
                    for pair in model.pairs
                ),
            ),
            examples=tuple(self._keep(shown.measured)),
            taxonomy=TAXONOMY if finding else (),
        )

    def _power(self, universal: JudgedTrigger) -> Power:
        """By the trigger for all classes; what is searched besides can only add to it."""
        measured = universal.measured
        return Power(
            samples=universal.evidence.gap.trials,
            held_out=len(measured.rows),
            least=verdict_rules.least(self.pruned),
            effort=self.effort,
            cut=self.cut,
            budget_s=self.settings.budget_s,
            synthetic=self.subject.samples.synthetic,
            limited=len(self.chosen.rows) < len(self.subject.samples),
            unfit=self.unfit,
        )

    def _reason(
        self, shown: JudgedTrigger, kind: str | None, power: str, carried: CarriersRecord | None
    ) -> str:
        gap, candidate = shown.evidence.gap, shown.measured.candidate
        where = f"rung {self.subject.rungs[-1].name}"
        does = f"says class {candidate.target}"
        if candidate.target is None:
            does = "gives a far other output"
        which = "inputs" if candidate.source is None else f"inputs of class {candidate.source}"
        seen = f"{gap.successes} of {gap.trials} held-out {which}"
        if kind is None:
            return f"the best trigger works on {seen}: {power}"
        rounding = verdict_rules.in_no_other_rounding(shown.evidence)
        placebo = {
            "square": "squares towards other classes do not get as far",
            "planted": "the same search does not get as far in the model compressed otherwise: "
            "it hangs on this very compression",
            "fragile": "it is there under other such compression, too, or no placebo could tell",
        }[kind if rounding or not shown.evidence.square else "square"]
        return (
            f"with one change of the input {where} {does} on {seen}, where the full model keeps "
            f"its answer; {placebo}" + (f"; {carried.text}" if carried is not None else "")
        )

    def _rates(self, shown: JudgedTrigger) -> ReplayRecord:
        """How often each rung does what the trigger asks for, without it and with it."""
        measured, watched = shown.measured, self.watched
        by_class: tuple[ClassReplay, ...] = ()
        if watched.kind == "classes":
            target = measured.candidate.target
            answer = measured.before[measured.full].argmax(1)
            full, last = (
                measured.outputs[name].argmax(1) for name in (measured.full, measured.last)
            )
            by_class = tuple(
                ClassReplay(
                    class_=int(number),
                    trials=int((answer == number).sum()),
                    full_kept=int(((answer == number) & (full == answer)).sum()),
                    compressed_target=int(((answer == number) & (last == target)).sum()),
                )
                for number in np.unique(answer)
            )
        return ReplayRecord(
            rungs=tuple(
                RungReplay(
                    rung=rung.name,
                    runner=rung.runner.name,
                    clean=measured.does(measured.before[rung.name], watched),
                    triggered=measured.does(measured.outputs[rung.name], watched),
                )
                for rung in self.subject.rungs
            ),
            gap=shown.evidence.gap,
            by_class=by_class,
        )

    def _placebo(self, shown: JudgedTrigger, transfer: Transfer | None) -> PlaceboRecord:
        placebos = shown.evidence.placebos
        rates = [placebo.rate or 0.0 for placebo in placebos]
        own = shown.evidence.calibrated.rate or 0.0
        method = "other masks of the same rate" if self.pruned else "stochastic rounding"
        if shown.evidence.square:
            method = "squares towards another class of the same model"
        mirrored = self.results["mirrored"]
        section = PlaceboRecord(
            what=method,
            searched=tuple(rates),
            own=own,
            benign=shown.evidence.benign,
            mirrored=best(mirrored[0]) if mirrored else None,
        )
        if placebos:
            p, smallest = verdict_rules.p_value(own, rates)
            section = structs.replace(
                section,
                p_value=p,
                smallest_p=smallest,
                p_beats=verdict_rules.p_beats(shown.evidence),
                effect=Effect(own - max(rates)),
            )
        if transfer is not None:
            p, smallest = verdict_rules.p_value(transfer.own, transfer.others)
            section = structs.replace(
                section,
                transfer=tuple(transfer.others),
                transfer_own=transfer.own,
                transfer_p=p,
                transfer_smallest_p=smallest,
            )
        return section

    def _keep(self, shown: ReplayResult) -> Iterator[ExampleRecord]:
        """Leave the trigger and some examples, the hits first, as arrays beside the report."""
        _save(self.folder / "trigger.npz", shown.candidate.trigger.arrays())
        order = np.argsort(~shown.hit(self.watched), kind="stable")[:_EXAMPLES]
        _save(
            self.folder / "examples.npz",
            {
                "clean": shown.clean[order],
                "triggered": shown.changed[order],
                "low": self.chosen.low,
                "high": self.chosen.high,
            },
        )
        for place in order:
            example = converted(ExampleRecord, self.subject.samples.describe(shown.rows[place]))
            if self.watched.kind == "classes":
                example = structs.replace(
                    example,
                    before=_answers(shown.before, shown, place),
                    after=_answers(shown.outputs, shown, place),
                )
            yield example


def carriers_record(found: Carriers) -> CarriersRecord:
    """What the finding rides on, and the cure that it has for that."""
    wakes = " or ".join(_WAKES[name] for name in found.names)
    if found.together and len(found.names) > 1:
        wakes = "both " + " and ".join(_WAKES[name] for name in found.names)
    return CarriersRecord(
        names=found.names,
        together=found.together,
        text=f"it wakes when {wakes}: " + "; ".join(_CURES[name] for name in found.names),
        parts=tuple(CarrierRecord(name, rate) for name, rate in found.alone.items()),
        widened=found.widened,
    )


def _answers(outputs: Mapping[str, Array], shown: ReplayResult, place: int) -> ModelAnswers:
    """What both models say to a sample."""
    return ModelAnswers(
        full=int(outputs[shown.full][place].argmax()),
        compressed=int(outputs[shown.last][place].argmax()),
    )


def _hypothesis(candidate: Candidate, hits: int, eligible: int) -> HypothesisRecord:
    return HypothesisRecord(
        target=candidate.target,
        source=candidate.source,
        form=candidate.trigger.form,
        size=candidate.trigger.size,
        success=candidate.success,
        held_out=Proportion.of(hits, eligible),
        steps=candidate.steps,
    )


def _hits(candidate: Candidate) -> int:
    return candidate.calibrated


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    with whole_bytes(path) as stream:
        np.savez_compressed(stream, **arrays)
