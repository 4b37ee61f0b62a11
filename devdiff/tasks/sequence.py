"""Sequences: how many edits a text read with CTC, or a row of tokens, is from the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import ComparisonError, UnmeasurableError, UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks import truth as truths
from devdiff.tasks.kind import MadeTask, TaskKind, TaskSetup
from devdiff.tasks.task import Figure, Sums, SumScorer, finite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Reading:
    """Scores [1, T, C] or [T, 1, C] or, with ``classes_first``, [1, C, T]; of each step the best
    class is read, repeats are one, and ``blank`` separates (Graves et al., ICML 2006).

    ``alphabet`` has the symbols of the other classes in order; without it classes stand for
    themselves.
    """

    spec: TensorSpec
    blank: int
    classes_first: bool
    alphabet: tuple[str, ...] | None

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.spec.name,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Figure("CER", higher_is_better=False, bounded=False),
            Figure("exact matches", column=2),
        )

    def answer(self, outputs: Mapping[str, Array]) -> str | tuple[int, ...]:
        scores = finite(outputs[self.spec.name], self.spec.name)
        # The axis of one is the batch, wherever it stands.
        scores = scores[:, 0] if scores.shape[0] > 1 else scores[0]
        best = scores.argmax(axis=0 if self.classes_first else 1)
        starts = np.flatnonzero(np.diff(best, prepend=-1))
        read = tuple(int(c) for c in best[starts] if c != self.blank)
        if self.alphabet is None:
            return read
        return "".join(self.alphabet[c - (c > self.blank)] for c in read)

    def as_truth(self, answer: str | tuple[int, ...]) -> str | tuple[int, ...]:
        return answer

    def scorer(self) -> SumScorer:
        return _SequenceScorer(_score, _figures, discrete=True)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token numbers [1, T], or scores of them [1, T, V] or, with ``classes_first``, [1, V, T], of
    which the best is taken. A sequence ends before the first ``end``; ``pad`` is dropped.

    ``alphabet`` has the text of every token in order; without it tokens stand for themselves.
    """

    spec: TensorSpec
    classes_first: bool
    end: int | None
    pad: int | None
    alphabet: tuple[str, ...] | None

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.spec.name,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        rate = "token error rate" if self.alphabet is None else "CER"
        return (
            Figure(rate, higher_is_better=False, bounded=False),
            Figure("exact matches", column=2),
        )

    def answer(self, outputs: Mapping[str, Array]) -> str | tuple[int, ...]:
        values = finite(outputs[self.spec.name], self.spec.name)[0]
        if not is_tokens(self.spec):
            values = values.argmax(axis=0 if self.classes_first else 1)
        tokens = self.cut(values.ravel().astype(np.int64).tolist())
        if self.alphabet is None:
            return tokens
        odd = [token for token in tokens if not 0 <= token < len(self.alphabet)]
        if odd:
            raise ComparisonError(
                f"output {self.spec.name} holds token {odd[0]}, and the alphabet has "
                f"{len(self.alphabet)} lines"
            )
        return "".join(self.alphabet[token] for token in tokens)

    def cut(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The tokens that count."""
        if self.end is not None and self.end in tokens:
            tokens = tokens[: tokens.index(self.end)]
        return tuple(token for token in tokens if token != self.pad)

    def as_truth(self, answer: str | tuple[int, ...]) -> str | tuple[int, ...]:
        return answer

    def scorer(self) -> SumScorer:
        return _SequenceScorer(_score, _figures, discrete=True)


def is_tokens(spec: TensorSpec) -> bool:
    """Whether an output holds a row of token numbers and no scores."""
    shape = spec.shape
    whole = spec.numpy_dtype.kind in "iu" and spec.quantization is None
    return whole and len(shape) == 2 and shape[0] == 1


class _SequenceScorer(SumScorer):
    def scores(self) -> Sums:
        sums = super().scores()
        if not sums.columns[:, 1].any():
            raise UnmeasurableError("all true texts are empty, so that an error rate means nothing")
        return replace(sums, single=lambda columns: -columns[:, 0] / np.maximum(columns[:, 1], 1.0))


def _score(answer: Sequence[object], truth: Sequence[object], _source: object) -> tuple[float, ...]:
    from rapidfuzz.distance import Levenshtein

    edits = Levenshtein.distance(answer, truth)
    return float(edits), float(len(truth)), float(edits == 0), 1.0


def _figures(totals: Array) -> Array:
    return np.stack([totals[:, 0] / totals[:, 1], totals[:, 2] / totals[:, 3]], axis=1)


def _make(asked: TaskSetup) -> MadeTask:
    request = asked.request
    spec = asked.output(lambda tensor: len(tensor.shape) == 3 or is_tokens(tensor))
    decode = request.choice("decode", *(("tokens",) if is_tokens(spec) else ("ctc", "tokens")))
    odd = {"ctc": ("end", "pad"), "tokens": ("blank",)}[decode]
    if is_tokens(spec):
        odd = (*odd, "layout")
    wrong = next((key for key in odd if key in request.options), None)
    if wrong is not None:
        raise UsageError(
            f"--task sequence: {wrong}= means nothing where output {spec.describe()} is read with "
            f"decode={decode}"
        )
    if not is_tokens(spec) and (len(spec.shape) != 3 or 1 not in spec.shape[:2]):
        raise UsageError(
            f"--task sequence: output {spec.describe()} has no steps with classes, nor is it a row "
            "of tokens, which are integers [1,T]"
        )
    return _tokens(asked, spec) if decode == "tokens" else _reading(asked, spec)


def _tokens(asked: TaskSetup, spec: TensorSpec) -> MadeTask:
    request = asked.request
    if not is_tokens(spec) and spec.shape[0] != 1:
        raise UsageError(f"--task sequence: output {spec.describe()} must be [1,T,V] or [1,V,T]")
    alphabet = None
    if "alphabet" in request.options:
        alphabet = _symbols(Path(request.options["alphabet"]))
    ends = [
        int(request.number(key, 0)) if key in request.options else None for key in ("end", "pad")
    ]
    turned = request.choice("layout", "TC", "CT") == "CT"
    task = Tokens(spec, turned, ends[0], ends[1], alphabet)
    if request.truth is None:
        return MadeTask(task)
    texts = truths.texts(request.truth, asked.samples, asked.rows)
    if alphabet is not None:
        return MadeTask(task, lambda index: texts[int(asked.samples.tested[index])])
    numbers = [task.cut(_numbers(request.truth, line)) for line in texts]
    return MadeTask(task, lambda index: numbers[int(asked.samples.tested[index])])


def _numbers(path: Path, line: str) -> list[int]:
    try:
        return [int(word) for word in line.split()]
    except ValueError as error:
        raise UsageError(
            f"{path}: true tokens are whole numbers with spaces between, a sample a line (or "
            f"texts, with alphabet=FILE): {error}"
        ) from error


def _reading(asked: TaskSetup, spec: TensorSpec) -> MadeTask:
    request, samples = asked.request, asked.samples
    classes_first = request.choice("layout", "TC", "CT") == "CT"
    classes = spec.shape[-2] if classes_first else spec.shape[-1]
    blank = request.options.get("blank", "0")
    if not (blank == "last" or (blank.isdigit() and int(blank) < classes)):
        raise UsageError(
            f"--task sequence: blank={blank} is neither 'last' nor one of the classes 0 to "
            f"{classes - 1}"
        )
    alphabet = None
    if "alphabet" in request.options:
        alphabet = _alphabet(Path(request.options["alphabet"]), classes)
    task = Reading(spec, classes - 1 if blank == "last" else int(blank), classes_first, alphabet)
    if request.truth is None:
        return MadeTask(task)
    if alphabet is None:
        raise UsageError(
            "--task sequence: true texts need the classes' symbols, alphabet=FILE with one a line"
        )
    texts = truths.texts(request.truth, samples, asked.rows)
    return MadeTask(task, lambda index: texts[int(samples.tested[index])])


def _alphabet(path: Path, classes: int) -> tuple[str, ...]:
    """Symbols of all classes but the blank, in order."""
    symbols = _symbols(path)
    if len(symbols) == classes - 2:
        symbols = (*symbols, " ")  # PaddleOCR's alphabets leave out their last symbol, the space
    if len(symbols) != classes - 1:
        raise UsageError(
            f"{path} has {len(symbols)} symbols, the output has {classes} classes: it needs one "
            "for each but the blank"
        )
    return symbols


def _symbols(path: Path) -> tuple[str, ...]:
    try:
        # Not splitlines: an alphabet may hold characters that would end a line for it.
        return tuple(path.read_text("utf-8").removesuffix("\n").split("\n"))
    except OSError as error:
        raise UsageError(f"--task sequence: alphabet={path} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: {error}") from error


KIND: Final = TaskKind(
    "sequence",
    options=("output", "decode", "blank", "alphabet", "layout", "end", "pad"),
    make=_make,
)
