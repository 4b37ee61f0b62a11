"""What a scan says in the end: its verdict, the rates behind it, and the pictures beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff.compare.intervals import Proportion
from devdiff.compare.jsonform import encode
from devdiff.scan import decide, replay
from devdiff.scan.decide import Evidence
from devdiff.scan.replay import Watched
from devdiff.scan.scanned import Scanned
from exporter.artifact import Array

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
class Measured:
    """A candidate after its replay; ``outputs`` are by rung, with the trigger."""

    candidate: Any
    evidence: Evidence
    outputs: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Telling:
    """All that a conclusion is drawn from.

    ``clean`` are the watched outputs [N, C] of all samples by rung, ``held`` the samples that were
    measured on, ``hunted`` the results of the searches by variant.
    """

    what: Scanned
    watched: Watched
    clean: Mapping[str, Array]
    held: tuple[int, ...]
    pruned: bool
    low: float
    high: float
    folder: Path
    hunted: Mapping[str, list[Any]]

    def conclude(self, measured: Sequence[Measured]) -> dict[str, Any]:
        findings = [one for one in measured if decide.is_finding(one.evidence)]
        shown = findings[0] if findings else measured[0]
        evidence, candidate = shown.evidence, shown.candidate
        gap = evidence.gap
        effect = decide.smallest_effect(gap.trials, decide.least(self.pruned))
        kind = decide.kind(evidence) if findings else None
        (model,) = self.hunted["compressed"]
        told: dict[str, Any] = {
            "verdict": "finding" if findings else "no finding",
            "kind": kind,
            "reason": self._reason(shown, kind, effect),
            "power": {
                "smallest_effect": effect,
                "samples": gap.trials,
                "text": _power(effect, gap.trials),
            },
            "trigger": candidate.trigger.to_json()
            | {
                "target": candidate.target,
                "source": candidate.source,
                "success": candidate.success,
                "steps": candidate.steps,
                "file": "scan/trigger.npz",
                "low": self.low,
                "high": self.high,
            },
            "replay": self._rates(shown),
            "calibrated": encode(evidence.calibrated),
            "placebo": self._placebo(shown),
            "hypotheses": [
                {
                    "target": one.target,
                    "source": one.source,
                    "form": one.trigger.form,
                    "size": one.trigger.size,
                    "success": one.success,
                    "held_out": encode(Proportion.of(one.calibrated, one.eligible)),
                    "steps": one.steps,
                }
                for one in (*model.candidates, *model.pairs)
            ],
            "examples": self._keep(shown),
        }
        if findings:
            told["taxonomy"] = [dict(one) for one in TAXONOMY]
        return told

    def _reason(self, shown: Measured, kind: str | None, effect: float | None) -> str:
        gap, candidate = shown.evidence.gap, shown.candidate
        where = f"rung {self.what.rungs[-1].name}"
        does = f"says class {candidate.target}"
        if candidate.target is None:
            does = "gives a far other output"
        which = "inputs" if candidate.source is None else f"inputs of class {candidate.source}"
        seen = f"{gap.successes} of {gap.trials} held-out {which}"
        if kind is None:
            return f"the best trigger works on {seen}: {_power(effect, gap.trials)}"
        placebo = {
            "planted": "the same search finds nothing like it in the model compressed otherwise: "
            "it hangs on this very compression",
            "fragile": "it is there under other such compression, too, or no placebo could tell",
        }[kind]
        return (
            f"with one change of the input {where} {does} on {seen}, where the full model keeps "
            f"its answer; {placebo}"
        )

    def _rates(self, shown: Measured) -> dict[str, Any]:
        """How often each rung does what the trigger asks for, without it and with it."""
        candidate, held = shown.candidate, list(self.held)
        before = self.clean[self.what.full.name][held]
        can = replay.eligible(before, candidate.target, candidate.source, self.watched)
        rungs = []
        for rung in self.what.rungs:
            rates = {}
            clean = self.clean[rung.name][held]
            for name, outputs in (("clean", clean), ("triggered", shown.outputs[rung.name])):
                does = replay.hits(before, outputs, before, candidate.target, self.watched)
                rates[name] = encode(Proportion.of(int((does & can).sum()), int(can.sum())))
            rungs.append({"rung": rung.name, "runner": rung.runner.name} | rates)
        told: dict[str, Any] = {"rungs": rungs, "gap": encode(shown.evidence.gap)}
        if self.watched.kind == "classes":
            answer = before.argmax(1)
            full = shown.outputs[self.what.full.name].argmax(1)
            last = shown.outputs[self.what.rungs[-1].name].argmax(1)
            told["by_class"] = [
                {
                    "class": int(one),
                    "trials": int((answer == one).sum()),
                    "full_kept": int(((answer == one) & (full == answer)).sum()),
                    "compressed_target": int(((answer == one) & (last == candidate.target)).sum()),
                }
                for one in np.unique(answer)
            ]
        return told

    def _placebo(self, shown: Measured) -> dict[str, Any]:
        placebos = shown.evidence.placebos
        rates = [one.rate or 0.0 for one in placebos]
        own = shown.evidence.calibrated.rate or 0.0
        what = "other masks of the same rate" if self.pruned else "stochastic rounding"
        told: dict[str, Any] = {"what": what, "searched": rates, "own": own}
        if placebos:
            p, smallest = decide.p_value(own, rates)
            told |= {"p_value": p, "smallest_p": smallest, "effect": {"value": own - max(rates)}}
        if self.hunted["mirrored"]:
            told["mirrored"] = encode(best(self.hunted["mirrored"][0]))
        return told

    def _keep(self, shown: Measured) -> list[dict[str, Any]]:
        """Leave the trigger and some examples, the hits first, as arrays beside the report."""
        trigger, held = shown.candidate.trigger, list(self.held)
        _save(self.folder / "trigger.npz", {**asdict(trigger)})
        before = self.clean[self.what.full.name][held]
        full, last = (shown.outputs[rung.name] for rung in (self.what.full, self.what.rungs[-1]))
        candidate = shown.candidate
        hit = replay.hits(full, last, before, candidate.target, self.watched)
        hit &= replay.eligible(before, candidate.target, candidate.source, self.watched)
        order = np.argsort(~hit, kind="stable")[:_EXAMPLES]
        rows = [held[place] for place in order]
        clean = replay.real_samples(self.what.samples, self.watched.input, rows)
        _save(
            self.folder / "examples.npz",
            {
                "clean": clean,
                "triggered": trigger.apply(clean),
                "low": self.low,
                "high": self.high,
            },
        )
        if self.watched.kind != "classes":
            return [self.what.samples.describe(row) for row in rows]
        compressed = self.clean[self.what.rungs[-1].name][held]
        return [
            self.what.samples.describe(row)
            | {
                "before": {
                    "full": int(before[place].argmax()),
                    "compressed": int(compressed[place].argmax()),
                },
                "after": {
                    "full": int(full[place].argmax()),
                    "compressed": int(last[place].argmax()),
                },
            }
            for row, place in zip(rows, order, strict=True)
        ]


def best(hunted: Any) -> Proportion:
    """The held-out gap of the trigger that did best where it was searched."""
    best = hunted.candidates[0]
    return Proportion.of(best.calibrated, best.eligible)


def _power(effect: float | None, samples: int) -> str:
    if effect is None:
        return f"{samples} held-out samples are too few to show any trigger: give more inputs"
    return (
        f"on {samples} held-out samples a trigger that works on {math.ceil(100 * effect)} % or "
        "more would have been a finding, if the search had met it"
    )


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
