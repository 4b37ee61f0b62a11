"""Whether inputs and labels suit the model, and which usual mistake would explain it if not.

Every rung gets the same inputs, so a mistake in them is wrong on all rungs alike and looks like
agreement. With labels it shows: a trained classifier is then no better than chance, or as good as
one would expect with its classes numbered otherwise or its inputs prepared otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.comparison.classify import answers as best_classes
from devdiff.comparison.intervals import Proportion
from devdiff.comparison.rungs import RungOutputs, sample_outputs
from devdiff.comparison.wording import count, percent
from devdiff.errors import ComparisonError
from devdiff.ladder.judge import labelled_output
from devdiff.system.typed_json import encode
from devdiff.tasks.chance import FEWEST, AccuracyAgainstChance
from devdiff.tasks.class_order import orders
from devdiff.tasks.preparation import Preparations, Trial
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.ladder import Rung, RungResult
    from devdiff.progress import Events

FOLDER: Final = "data-check"
WHAT_TO_CHECK: Final = "check labels, class order, channel order and preprocessing"
_ORDERS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What the answers of ``rung`` say of inputs and labels.

    ``verdict`` is ``pass``, or ``inconclusive`` where they do not suit the model, with ``advice``;
    None where there are too few samples to tell. ``trials`` are changes that were tried, those that
    mend it first; ``notes`` say what could not be tried.
    """

    rung: str
    output: str
    accuracy: AccuracyAgainstChance
    verdict: Verdict | None
    reason: str
    advice: str = ""
    trials: tuple[Trial, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        found = self.accuracy
        return {
            "rung": self.rung,
            "output": self.output,
            "classes": found.classes,
            "accuracy": encode(found.right),
            "chance": found.chance,
            "p_value": found.p_value,
            "standing": found.standing,
            "verdict": self.verdict.value if self.verdict else None,
            "reason": self.reason,
            "advice": self.advice,
            "trials": [
                {
                    "kind": trial.kind,
                    "change": trial.change,
                    "accuracy": encode(trial.right),
                    "mends": trial.mends,
                }
                for trial in self.trials
            ],
            "notes": list(self.notes),
        }


def check(
    rung: Rung,
    result: RungResult,
    samples: InputSet,
    classifiers: Collection[str],
    folder: Path,
    timeout_s: float,
    events: Events,
) -> DataCheck | None:
    """Hold the first rung's answers to the labels. Where they are no better than chance, or the
    preprocessing does not suit the values, try what would mend it, running ``rung`` again in
    ``folder`` on some of the samples.

    None where there are no labels, or the rung has no answers.
    """
    output = labelled_output(classifiers, samples.labels)
    if output is None or samples.labels is None or result.error or result.failed:
        return None
    labels = samples.labels.astype(np.int64)
    try:
        answers, classes = _answers(result, output)
    except ComparisonError:
        return None
    if len(answers) != len(labels) or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        return None
    accuracy = AccuracyAgainstChance.of(answers, labels, classes)
    trials: list[Trial] = []
    notes: tuple[str, ...] = ()
    if len(labels) >= FEWEST:
        at_chance = accuracy.standing == "at chance"
        trials = [
            Trial("class order", order.change, Proportion.of(order.right, len(labels)), order.mends)
            for order in orders(answers, labels, classes, samples.seed)[:_ORDERS_SHOWN]
            if order.mends or at_chance
        ]
        otherwise = Preparations(rung, result, samples, labels, answers, accuracy)
        suspicious = at_chance or otherwise.doubtful
        unexplained = not any(trial.mends for trial in trials)
        if unexplained and (suspicious or otherwise.coloured):
            events.phase("trying other preprocessing" if suspicious else "trying BGR for RGB")
            tried, notes = otherwise.run(
                folder,
                timeout_s,
                events,
                lambda done: _answers(done, output)[0],
                channels_only=not suspicious,
            )
            # What helps nothing where nothing looked wrong is no news.
            tried = [trial for trial in tried if suspicious or trial.mends]
            notes = notes if suspicious else ()
            trials += tried
            trials.sort(key=lambda trial: (not trial.mends, -(trial.right.rate or 0.0)))
    sentence = accuracy.describe(rung.name)
    if accuracy.standing == "at chance" or any(trial.mends for trial in trials):
        return DataCheck(
            rung.name,
            output,
            accuracy,
            Verdict.INCONCLUSIVE,
            f"{sentence}{_explained(trials)}",
            WHAT_TO_CHECK,
            tuple(trials),
            notes,
        )
    above_chance = accuracy.standing == "above chance"
    return DataCheck(rung.name, output, accuracy, Verdict.PASS if above_chance else None, sentence)


def borne_out(samples: InputSet, checked: DataCheck | None) -> InputSet:
    """Without warnings that a model's true answers refute: values on a scale that it is right with
    are those that it takes."""
    refuted = checked is not None and checked.verdict is Verdict.PASS
    return samples.borne_out() if refuted else samples


def _explained(trials: Sequence[Trial]) -> str:
    """What the best of the changes that mend it comes to."""
    best = next((trial for trial in trials if trial.mends), None)
    if best is None:
        return "; none of the usual mistakes that were tried explains it" if trials else ""
    right = best.right
    return (
        f"; with another {best.kind} ({best.change}) it is right on {right.successes} of "
        f"{count(right.trials, 'sample')} ({percent(right.rate or 0.0)})"
    )


def _answers(result: RungResult, output: str) -> tuple[Array, int]:
    """The answer of each sample int64 [N], -1 where there is none, and the number of classes."""
    outputs = RungOutputs(result.name, result.pack, result.outputs)
    found, classes = [], 0
    for values in sample_outputs(outputs, (output,)):
        scores = values[output].reshape(1, -1)
        best, decided = best_classes(scores)
        classes = scores.shape[1]
        found.append(int(best[0]) if decided[0] else -1)
    return np.array(found, np.int64), classes
