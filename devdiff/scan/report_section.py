"""What a scan says in the end: its verdict, the rates behind it, and the pictures beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.compare.intervals import Proportion
from devdiff.compare.jsonform import encode
from devdiff.scan import verdict_rules
from devdiff.scan.evidence import best
from devdiff.scan.options import ScanSubject
from devdiff.scan.power import LEAST_DONE, Power
from devdiff.scan.replay import ScanTarget
from devdiff.scan.replay_result import JudgedTrigger, ReplayResult, to_show
from devdiff.scan.sample_selection import SampleSelection
from devdiff.scan.search_plan import Found
from devdiff.system.atomic_file import whole_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.scan.search_job import Candidate
    from devdiff.scan.transfer import Transfer
    from devdiff.scan.verdict_rules import ScanVerdict

_EXAMPLES: Final = 8
TAXONOMY: Final = (
    {
        "id": "AML.T0018.000",
        "name": "MITRE ATLAS: Poison AI Model",
        "url": "https://atlas.mitre.org/techniques/AML.T0018.000",
    },
    {
        "id": "AML.T0010.003",
        "name": "MITRE ATLAS: AI Supply Chain Compromise: Model",
        "url": "https://atlas.mitre.org/techniques/AML.T0010.003",
    },
    {
        "id": "ML06:2023",
        "name": "OWASP Machine Learning Security: AI Supply Chain Attacks",
        "url": "https://owasp.org/www-project-machine-learning-security-top-10/",
    },
    {
        "id": "ML10:2023",
        "name": "OWASP Machine Learning Security: Model Poisoning",
        "url": "https://owasp.org/www-project-machine-learning-security-top-10/",
    },
)


@dataclass(frozen=True, slots=True)
class ReportSection:
    """All that a conclusion is drawn from.

    ``hunted`` are the results of the searches by variant. ``effort`` is the part of the search that
    the budget of ``budget_s`` seconds allowed, ``cut`` says that it left no time for a second look
    that was wanted.
    """

    what: ScanSubject
    watched: ScanTarget
    pruned: bool
    chosen: SampleSelection
    folder: Path
    hunted: Found
    effort: float
    budget_s: float
    cut: bool

    def conclude(
        self, judged: Sequence[JudgedTrigger], transfer: Transfer | None
    ) -> dict[str, Any]:
        shown = to_show(judged)
        evidence, candidate = shown.evidence, shown.measured.candidate
        finding = verdict_rules.is_finding(evidence)
        kind = verdict_rules.kind(evidence) if finding else None
        (model,) = self.hunted["compressed"]
        power = self._power(judged[0])
        verdict: ScanVerdict = "inconclusive" if power.lacking else "no finding"
        section: dict[str, Any] = {
            "verdict": "finding" if finding else verdict,
            "kind": kind,
            "reason": self._reason(shown, kind, power.text),
            "power": {
                "smallest_effect": power.effect,
                "samples": power.samples,
                "effort": power.effort,
                "least_effort": LEAST_DONE,
                "text": power.text,
            },
            "trigger": candidate.trigger.to_json()
            | {
                "target": candidate.target,
                "source": candidate.source,
                "success": candidate.success,
                "steps": candidate.steps,
                "file": "scan/trigger.npz",
                "low": self.chosen.low,
                "high": self.chosen.high,
            },
            "replay": self._rates(shown),
            "calibrated": encode(evidence.calibrated),
            "placebo": self._placebo(shown, transfer),
            "hypotheses": [
                *(
                    _hypothesis(hypothesis, hypothesis.calibrated, hypothesis.eligible)
                    for hypothesis in model.candidates
                ),
                *(
                    _hypothesis(max(pair.folds, key=_hits), pair.calibrated, pair.eligible)
                    for pair in model.pairs
                ),
            ],
            "examples": self._keep(shown.measured),
        }
        if finding:
            section["taxonomy"] = [dict(threat) for threat in TAXONOMY]
        return section

    def _power(self, universal: JudgedTrigger) -> Power:
        """By the trigger for all classes; what is searched besides can only add to it."""
        measured = universal.measured
        return Power(
            samples=universal.evidence.gap.trials,
            held_out=len(measured.rows),
            least=verdict_rules.least(self.pruned),
            effort=self.effort,
            cut=self.cut,
            budget_s=self.budget_s,
            synthetic=self.what.samples.synthetic,
            limited=len(self.chosen.rows) < len(self.what.samples),
        )

    def _reason(self, shown: JudgedTrigger, kind: str | None, power: str) -> str:
        gap, candidate = shown.evidence.gap, shown.measured.candidate
        where = f"rung {self.what.rungs[-1].name}"
        does = f"says class {candidate.target}"
        if candidate.target is None:
            does = "gives a far other output"
        which = "inputs" if candidate.source is None else f"inputs of class {candidate.source}"
        seen = f"{gap.successes} of {gap.trials} held-out {which}"
        if kind is None:
            return f"the best trigger works on {seen}: {power}"
        placebo = {
            "planted": "the same search does not get as far in the model compressed otherwise: "
            "it hangs on this very compression",
            "fragile": "it is there under other such compression, too, or no placebo could tell",
        }[kind]
        return (
            f"with one change of the input {where} {does} on {seen}, where the full model keeps "
            f"its answer; {placebo}"
        )

    def _rates(self, shown: JudgedTrigger) -> dict[str, Any]:
        """How often each rung does what the trigger asks for, without it and with it."""
        measured, watched = shown.measured, self.watched
        section: dict[str, Any] = {
            "rungs": [
                {
                    "rung": rung.name,
                    "runner": rung.runner.name,
                    "clean": encode(measured.does(measured.before[rung.name], watched)),
                    "triggered": encode(measured.does(measured.outputs[rung.name], watched)),
                }
                for rung in self.what.rungs
            ],
            "gap": encode(shown.evidence.gap),
        }
        if watched.kind == "classes":
            target = measured.candidate.target
            answer = measured.before[measured.full].argmax(1)
            full, last = (
                measured.outputs[name].argmax(1) for name in (measured.full, measured.last)
            )
            section["by_class"] = [
                {
                    "class": int(one),
                    "trials": int((answer == one).sum()),
                    "full_kept": int(((answer == one) & (full == answer)).sum()),
                    "compressed_target": int(((answer == one) & (last == target)).sum()),
                }
                for one in np.unique(answer)
            ]
        return section

    def _placebo(self, shown: JudgedTrigger, transfer: Transfer | None) -> dict[str, Any]:
        placebos = shown.evidence.placebos
        rates = [placebo.rate or 0.0 for placebo in placebos]
        own = shown.evidence.calibrated.rate or 0.0
        method = "other masks of the same rate" if self.pruned else "stochastic rounding"
        section: dict[str, Any] = {"what": method, "searched": rates, "own": own}
        if placebos:
            p, smallest = verdict_rules.p_value(own, rates)
            section |= {
                "p_value": p,
                "smallest_p": smallest,
                "p_beats": verdict_rules.p_beats(shown.evidence),
                "effect": {"value": own - max(rates)},
            }
        if shown.evidence.benign is not None:
            section["benign"] = shown.evidence.benign
        if transfer is not None:
            p, smallest = verdict_rules.p_value(transfer.own, transfer.others)
            section |= {
                "transfer": list(transfer.others),
                "transfer_own": transfer.own,
                "transfer_p": p,
                "transfer_smallest_p": smallest,
            }
        if self.hunted["mirrored"]:
            section["mirrored"] = encode(best(self.hunted["mirrored"][0]))
        return section

    def _keep(self, shown: ReplayResult) -> list[dict[str, Any]]:
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
        descriptions = [self.what.samples.describe(shown.rows[place]) for place in order]
        if self.watched.kind != "classes":
            return descriptions
        return [
            description
            | {
                when: {
                    "full": int(outputs[shown.full][place].argmax()),
                    "compressed": int(outputs[shown.last][place].argmax()),
                }
                for when, outputs in (("before", shown.before), ("after", shown.outputs))
            }
            for description, place in zip(descriptions, order, strict=True)
        ]


def _hypothesis(candidate: Candidate, hits: int, eligible: int) -> dict[str, Any]:
    return {
        "target": candidate.target,
        "source": candidate.source,
        "form": candidate.trigger.form,
        "size": candidate.trigger.size,
        "success": candidate.success,
        "held_out": encode(Proportion.of(hits, eligible)),
        "steps": candidate.steps,
    }


def _hits(candidate: Candidate) -> int:
    return candidate.calibrated


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    with whole_bytes(path) as stream:
        np.savez_compressed(stream, **arrays)
