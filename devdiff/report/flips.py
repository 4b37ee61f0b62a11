"""Changed answers by what they do, and how often which class became which."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from devdiff.comparison.classify import flip_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.comparison import ClassifierAgreement, Flip, FlipMatrix
    from devdiff.report.class_words import ClassWords
    from devdiff.report.model import PairRecord, SampleRecord

Effect = Literal["harmed", "neutral", "repaired", "changed", ""]
EFFECTS: Final[Mapping[str, str]] = {
    "harmed": "right before, wrong after",
    "neutral": "wrong before and after",
    "repaired": "wrong before, right after",
    "changed": "changed, with no true class to hold it against",
    "": "the same answer",
}
"""What a step does to an answer, the gravest first."""
SIGNS: Final[Mapping[str, str]] = {"harmed": "▼", "neutral": "◆", "repaired": "▲", "changed": "◆"}
_LEVELS: Final = 4


def effect(flip: Flip, label: int | None) -> Effect:
    """What a flip does to a sample of class ``label``; None where nothing tells it."""
    if label is None:
        return "changed"
    if flip.reference_class == label:
        return "harmed"
    return "repaired" if flip.candidate_class == label else "neutral"


def rank(found: Effect) -> int:
    """The place of an effect among `EFFECTS`."""
    return list(EFFECTS).index(found)


def ranked(
    answers: ClassifierAgreement, samples: Mapping[str, SampleRecord]
) -> list[tuple[Flip, Effect]]:
    """The flips that a report holds of an output: by effect, no tie before a tie, and by gap."""
    labelled = answers.accuracy is not None
    found = []
    for flip in (*answers.kept_flips, *answers.harmed_flips):
        label = samples[str(flip.sample)].label if labelled else None
        found.append((flip, effect(flip, label)))
    return sorted(
        found, key=lambda pair: (rank(pair[1]), pair[0].tie, -pair[0].gap, pair[0].sample)
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """How many answers of an output a step changes, and what that does; without labels only how
    many."""

    step: str
    output: str
    changed: int
    samples: int
    effects: tuple[tuple[Effect, int], ...]


def tally(pair: PairRecord, answers: ClassifierAgreement) -> Tally:
    """An answer that one side alone gives counts as changed, too."""
    changed = answers.flips + answers.lost_answers
    effects: tuple[tuple[Effect, int], ...] = ()
    if answers.accuracy is not None:
        harmed, repaired = answers.accuracy.only_reference, answers.accuracy.only_candidate
        effects = (
            ("harmed", harmed),
            ("neutral", changed - harmed - repaired),
            ("repaired", repaired),
        )
    return Tally(step_words(pair), answers.output, changed, answers.top_1.trials, effects)


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """``level`` is how many it is beside the most between two classes, from 1 to 4; 0 of none, and
    of those that stand for many classes."""

    count: int
    level: int


@dataclass(frozen=True, slots=True)
class MatrixView:
    """How often the class of a row became that of a column; those without any are left out."""

    step: str
    output: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MatrixCell, ...]], ...]
    total: int
    gates: bool


def matrix(pair: PairRecord, answers: ClassifierAgreement, words: ClassWords) -> MatrixView | None:
    """None without flips, and where a report of an older devdiff does not hold them all."""
    counted = answers.flip_matrix or _counted(answers)
    if counted is None:
        return None
    heads = [words(index, answers.output) for index in counted.classes]
    heads += ["others"] if counted.others else []
    named = len(counted.classes)
    most = max(max(row[:named]) for row in counted.counts[:named]) or 1
    used = [place for place, column in enumerate(zip(*counted.counts, strict=True)) if any(column)]

    def cell(row: int, column: int) -> MatrixCell:
        count = counted.counts[row][column]
        shaded = row < named and column < named
        return MatrixCell(count, math.ceil(_LEVELS * count / most) if shaded else 0)

    return MatrixView(
        step_words(pair),
        answers.output,
        tuple(heads[column] for column in used),
        tuple(
            (head, tuple(cell(row, column) for column in used))
            for row, head in enumerate(heads)
            if any(counted.counts[row])
        ),
        counted.total,
        pair.gates,
    )


def _counted(answers: ClassifierAgreement) -> FlipMatrix | None:
    if len(answers.kept_flips) != answers.flips:
        return None
    flips: Sequence[Flip] = answers.kept_flips
    return flip_matrix(Counter((flip.reference_class, flip.candidate_class) for flip in flips))


def step_words(pair: PairRecord) -> str:
    return f"{pair.step}, {pair.reference} → {pair.candidate}"
