"""The samples worth looking at: whose answer changed, and who is off the most."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup

from devdiff.report import flips as flip_words
from devdiff.report.flips import Effect, MatrixView, Tally, step_words
from devdiff.report.html import sounds
from devdiff.report.html.pictures import BUDGET_BYTES, Picture, photo, pixels_of
from devdiff.report.html.task_answers import DrawnAnswer, ReadText, TaskAnswers
from devdiff.report.words import number, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devdiff.exporter.artifact import Array
    from devdiff.report.class_words import ClassWords
    from devdiff.report.html.run_files import RunFiles
    from devdiff.report.model import PairRecord, Report
    from devdiff.report.model.task import SampleChange

CHANGED_SHOWN: Final = 48
HARMED_SHOWN: Final = 36
WORST_SHOWN: Final = 12
FIRST_SHOWN: Final = 6
TOP: Final = 3
_WORST_A_PAIR: Final = 3
_SINGLE: Final = {
    "detection": "F1 at an overlap of 0.5",
    "segmentation": "mean IoU",
    "sequence": "error rate",
}
"""What `devdiff.tasks.task.Scores.by_sample` is of each task."""


@dataclass(frozen=True, slots=True)
class RankedClass:
    """One of a rung's best classes for a sample, with its score in real units."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a sample is shown: at which step, what happened there, and what that does."""

    step: str
    text: str
    effect: Effect = ""


@dataclass(slots=True)
class Card:
    """One sample: its row of the user's data, why it is here, and what the rungs answer."""

    sample: int
    row: int
    name: str | None
    label: int | None
    text: str | None
    reasons: list[Reason] = field(default_factory=list)
    classes: set[int] = field(default_factory=set)
    picture: Picture | None = None
    wave: Markup | None = None
    spectrogram: Picture | None = None
    drawn: tuple[DrawnAnswer, ...] = ()
    texts: tuple[ReadText, ...] = ()
    output: str | None = None
    answers: dict[str, tuple[RankedClass, ...]] = field(default_factory=dict)

    @property
    def effect(self) -> Effect:
        """The gravest of its reasons'."""
        return min((reason.effect for reason in self.reasons), key=flip_words.rank)

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(reason.step for reason in self.reasons))

    @property
    def answer_groups(self) -> tuple[tuple[str, tuple[RankedClass, ...]], ...]:
        """The answers, with neighbouring rungs whose answers look the same as one."""

        def shown(entry: tuple[str, tuple[RankedClass, ...]]) -> list[tuple[int, str]]:
            return [(ranked.index, number(ranked.score)) for ranked in entry[1]]

        groups = (list(group) for _, group in itertools.groupby(self.answers.items(), shown))
        return tuple((", ".join(rung for rung, _ in group), group[0][1]) for group in groups)


@dataclass(frozen=True, slots=True)
class Gallery:
    """All cards, those that harm first; ``changed`` is how many answers changed in the whole run,
    ``changed_shown`` how many of them have a card.

    ``notes`` say what is not shown and why; ``stretched`` that brightness is not true to the data.
    """

    cards: tuple[Card, ...]
    changed: int
    changed_shown: int
    stretched: bool
    notes: tuple[str, ...]
    tallies: tuple[Tally, ...] = ()
    matrices: tuple[MatrixView, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """Those of any card, in the order of the ladder."""
        return tuple(dict.fromkeys(step for card in self.cards for step in card.steps))

    @property
    def classes(self) -> tuple[int, ...]:
        """Those that any card is about."""
        return tuple(sorted(set().union(*(card.classes for card in self.cards))))

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Those of any card, the gravest first."""
        found = {card.effect for card in self.cards} - {""}
        return tuple(sorted(found, key=flip_words.rank))

    @property
    def all_effects(self) -> tuple[Effect, ...]:
        """Those of any card, or of any answer in the whole run."""
        counted = {effect for t in self.tallies for effect, count in t.effects if count}
        return tuple(sorted({*self.effects, *counted}, key=flip_words.rank))


def gallery(report: Report, beside: RunFiles | None, words: ClassWords) -> Gallery:
    """The cards of a report, with pictures and answers where the run directory has them."""
    cards: dict[int, Card] = {}
    shown, total = _add_flips(report, cards, words)
    more, others = _add_task(report, cards)
    _add_worst(report, cards)
    chosen = tuple(sorted(cards.values(), key=lambda card: flip_words.rank(card.effect)))
    pairs = [(pair, answers) for pair in _steps(report) for answers in pair.classifications]
    views = (flip_words.matrix(pair, answers, words) for pair, answers in pairs)
    made = Gallery(
        chosen,
        total + others,
        shown + more,
        False,
        (),
        tuple(flip_words.tally(*pair) for pair in pairs),
        tuple(view for view in views if view is not None),
    )
    if beside is None:
        missing = ("made from report.json alone: no pictures and no answers of every rung",)
        return replace(made, notes=missing if chosen else ())
    if chosen:
        _add_answers(report, chosen, beside)
    stretched, left_out = _add_inputs(report, chosen, beside, words)
    notes = list(beside.problems)
    if left_out:
        notes.append(f"{left_out} pictures are left out to keep this page light")
    return replace(made, stretched=stretched, notes=tuple(notes))


def _steps(report: Report) -> list[PairRecord]:
    """The pairs that are one step; the whole way only repeats what they say."""
    compared = [pair for pair in report.pairs if pair.comparison is not None]
    return [pair for pair in compared if pair.step != "all"] or compared


def _card(report: Report, cards: dict[int, Card], sample: int) -> Card:
    if sample not in cards:
        described = report.samples[str(sample)]
        cards[sample] = Card(sample, described.row, described.name, described.label, described.text)
        if described.label is not None:
            cards[sample].classes.add(described.label)
    return cards[sample]


def _in_turns(queues: list[list[Any]]) -> Iterator[Any]:
    """Entries of the queues, one of each at a time."""
    turns = itertools.zip_longest(*queues)
    return (entry for turn in turns for entry in turn if entry is not None)


def _chosen(found: list[Any]) -> list[Any]:
    """At most `CHANGED_SHOWN` entries, whose last part is the effect: with more than
    `HARMED_SHOWN` that do harm there is still room for others."""
    harmed = [entry for entry in found if entry[-1] == "harmed"]
    others = [entry for entry in found if entry[-1] != "harmed"]
    room = max(HARMED_SHOWN, CHANGED_SHOWN - len(others))
    kept = {id(entry) for entry in (harmed[:room] + others)[:CHANGED_SHOWN]}
    return [entry for entry in found if id(entry) in kept]


def _add_flips(report: Report, cards: dict[int, Card], words: ClassWords) -> tuple[int, int]:
    """The gravest changed answers, taking turns between the steps; how many, and of how many."""
    queues = []
    total = 0
    for pair in _steps(report):
        for answers in pair.classifications:
            total += answers.flips
            kept = flip_words.ranked(answers, report.samples)
            queues.append([(pair, answers.output, flip, effect) for flip, effect in kept])
    shown = 0
    for pair, output, flip, effect in _chosen(list(_in_turns(queues))):
        before, after = (
            words(index, output) for index in (flip.reference_class, flip.candidate_class)
        )
        text = f"{before} → {after}"
        if flip.tie:
            text += " (exact tie)"
        card = _card(report, cards, flip.sample)
        card.reasons.append(Reason(step_words(pair), text, effect))
        card.classes |= {flip.reference_class, flip.candidate_class}
        shown += 1
    return shown, total


def _add_task(report: Report, cards: dict[int, Card]) -> tuple[int, int]:
    """The samples that the task's metric says most of; how many, and of how many."""
    task = report.task
    if task is None or task.kind not in _SINGLE:
        return 0, 0
    way = {(pair.reference, pair.candidate): pair for pair in _steps(report)}
    queues = []
    total = 0
    for step in task.steps:
        pair = way.get((step.reference, step.candidate))
        if pair is not None:
            total += step.changed
            queues.append([(pair, changed, _effect(changed)) for changed in step.most_changed])
    shown = 0
    for pair, changed, effect in _chosen(list(_in_turns(queues))):
        before, after = (percent(abs(value)) for value in (changed.before, changed.after))
        text = f"{_SINGLE[task.kind]}: {before} → {after}"
        card = _card(report, cards, changed.sample)
        card.reasons.append(Reason(step_words(pair), text, effect))
        shown += 1
    return shown, total


def _effect(changed: SampleChange) -> Effect:
    return "harmed" if changed.after < changed.before else "repaired"


def _add_worst(report: Report, cards: dict[int, Card]) -> None:
    added = 0
    for pair in _steps(report):
        for output in pair.outputs:
            for worst in output.worst[:_WORST_A_PAIR]:
                if worst.sample not in cards:
                    if added == WORST_SHOWN:
                        continue
                    added += 1
                text = (
                    f"{output.name}: largest error {number(worst.error)} "
                    f"({number(worst.reference)} → {number(worst.candidate)} at "
                    f"{list(worst.element)})"
                )
                _card(report, cards, worst.sample).reasons.append(Reason(step_words(pair), text))


def _add_answers(report: Report, cards: tuple[Card, ...], beside: RunFiles) -> None:
    """Every rung's best classes of the output that flips are of."""
    outputs = [answers for pair in report.pairs for answers in pair.classifications]
    if not outputs:
        return
    output = next((a for a in outputs if a.accuracy is not None), outputs[0]).output
    found = beside.answers(
        (output,), [card.sample for card in cards], lambda values: _best(values[output])
    )
    for card in cards:
        card.output = output
        for rung, answers in found.items():
            if card.sample in answers:
                card.answers[rung] = answers[card.sample]


def _best(scores: Array) -> tuple[RankedClass, ...]:
    """The best `TOP` classes; of equal scores the lower class is first, as everywhere in the
    comparison."""
    flat = scores.reshape(-1).astype(np.float64)
    ranked = np.argsort(-np.nan_to_num(flat, nan=-math.inf), kind="stable")[:TOP]
    return tuple(RankedClass(int(index), float(flat[index])) for index in ranked)


def _add_inputs(
    report: Report, cards: tuple[Card, ...], beside: RunFiles, words: ClassWords
) -> tuple[bool, int]:
    """Whether brightness was stretched, and how many pictures did not fit."""
    wanted = [card.sample for card in cards]
    task = TaskAnswers(report, beside, wanted, words) if cards else None
    images = beside.images(wanted)
    pixels = pixels_of(list(images.values()), report.inputs.preprocess)
    budget = _Budget()
    for card in cards:
        if task is not None:
            card.texts = task.texts(card.sample, card.text)
        if card.sample not in images:
            continue
        picture = photo(pixels.apply(images[card.sample]))
        if not budget.spend(len(picture.uri)):
            continue
        card.picture = picture
        if task is not None:
            card.drawn = task.drawn(card.sample, picture, budget.spend)
    if not images:
        _add_sounds(cards, beside.signals(wanted), budget)
    return pixels.stretched and bool(images), budget.refused


def _add_sounds(cards: tuple[Card, ...], signals: Mapping[int, Array], budget: _Budget) -> None:
    for card in cards:
        if card.sample not in signals:
            continue
        card.wave = sounds.waveform(signals[card.sample])
        heard = sounds.spectrogram(signals[card.sample])
        if heard is not None and budget.spend(len(heard.uri)):
            card.spectrogram = heard


class _Budget:
    """How many bytes of pictures still fit; ``refused`` counts those that did not."""

    def __init__(self) -> None:
        self._left = BUDGET_BYTES
        self.refused = 0

    def spend(self, size: int) -> bool:
        """Whether so many more fit, which are then spent."""
        if size > self._left:
            self.refused += 1
            return False
        self._left -= size
        return True
