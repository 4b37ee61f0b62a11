"""Answers of detectors, segmenters and readers are drawn as what they are, rung beside rung."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from devdiff.report.class_words import ClassWords
from devdiff.report.html import cards, page
from devdiff.report.html.run_files import RunFiles
from devdiff.report.html.sounds import as_signal, spectrogram
from tests.support import drawn_runs

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.report.model import Report


def gallery(report: Report, folder: Path) -> cards.Gallery:
    return cards.gallery(report, RunFiles(folder, report), ClassWords(report))


def test_boxes_are_drawn_where_they_are_and_what_moved_is_marked(tmp_path: Path) -> None:
    (card,) = gallery(drawn_runs.boxes_run(tmp_path), tmp_path).cards
    assert (card.sample, card.effect) == (1, "harmed")
    # The float rung answers as the source does, and shares its picture.
    assert [shown.rungs for shown in card.drawn] == ["input", "source, float", "int8"]
    before, after = (str(shown.drawing) for shown in card.drawn[1:])
    assert 'viewBox="0 0 96 64"' in before
    assert '<rect x="10" y="10" width="30" height="20" class="box c1">' in before
    assert '<rect x="50" y="20" width="40" height="40" class="box c0">' in before
    assert '<rect x="50" y="20" width="40" height="40" class="box gone">' in after
    assert '<rect x="5" y="40" width="40" height="22" class="box new">' in after
    assert card.drawn[1].caption == "dog 0.90, cat 0.80"
    assert card.drawn[2].caption == "dog 0.90, dog 0.70; 1 lost (dashed); 1 new (bold)"
    # The input is on the page once, and shown three times.
    assert sum("data:image" in str(shown.drawing) for shown in card.drawn) == 1


def test_masks_lie_over_the_input(tmp_path: Path) -> None:
    shown = gallery(drawn_runs.masks_run(tmp_path), tmp_path).cards[0].drawn
    assert [part.rungs for part in shown] == ["input", "source", "int8"]
    masks = []
    for part in shown[1:]:
        (data,) = re.findall(r"data:image/png;base64,([^\"]+)", str(part.drawing))
        masks.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")))
    covered = [(mask[..., 3] > 0).nonzero() for mask in masks]
    assert [(rows.min(), rows.max()) for rows, _ in covered] == [(8, 23), (16, 23)]
    assert (masks[0][..., 3] == 0).sum() == 32 * 32 - 16 * 16
    assert shown[1].caption == "ground 75 %, car 25 %"
    assert shown[2].caption.endswith("87.5 % of the pixels as before")


def test_texts_stand_beside_the_true_one_with_what_differs_marked(tmp_path: Path) -> None:
    (card,) = gallery(drawn_runs.texts_run(tmp_path), tmp_path).cards
    assert card.drawn == ()
    texts = {text.rungs: [(part.kind, part.text) for part in text.passages] for text in card.texts}
    assert texts["truth"] == [("same", "abcd")]
    assert texts["source"] == [("same", "abcd")]
    assert ("missing", "cd") in texts["int8"] or ("missing", "bcd") in texts["int8"]
    assert "".join(text for kind, text in texts["int8"] if kind != "missing") == "aba"
    assert card.reasons[0].text == "error rate: 0 % → 50 %"


def test_sound_is_a_waveform_and_a_spectrogram(tmp_path: Path) -> None:
    report = drawn_runs.sounds_run(tmp_path)
    for card in gallery(report, tmp_path).cards:
        assert card.picture is None
        assert card.wave is not None
        assert card.spectrogram is not None
    assert "Waveform; below it the loudness of each pitch" in page.render(report, tmp_path)


def test_a_tone_is_a_line_at_its_pitch() -> None:
    """8 kHz over 64 rows, of which the lowest is the last."""
    wave = np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000).astype(np.float32)
    picture = spectrogram(wave)
    assert picture is not None
    data = base64.b64decode(picture.uri.partition(",")[2])
    rows = np.asarray(Image.open(io.BytesIO(data))).mean(axis=1)
    assert abs(int(rows.argmax()) - 48) <= 1


def test_what_looks_like_sound() -> None:
    assert as_signal(np.zeros((1, 16000), np.float32)) is not None
    assert as_signal(np.zeros((1, 2, 16000), np.float32)) is not None
    assert as_signal(np.zeros((1, 16000), np.int32)) is None
    assert as_signal(np.zeros((1, 64, 2000), np.float32)) is None
    assert as_signal(np.zeros((1, 128), np.float32)) is None


def test_a_task_whose_outputs_are_others_now_draws_nothing(tmp_path: Path) -> None:
    report = drawn_runs.boxes_run(tmp_path)
    (tmp_path / "rungs/source.json").write_text("{}")
    (tmp_path / "rungs/float.json").write_text('{"outputs": 3}')
    (tmp_path / "rungs/int8.json").unlink()
    shown = gallery(report, tmp_path)
    assert all(card.drawn == () for card in shown.cards)
    assert "rungs/int8.pack cannot be read: its answers are missing" in shown.notes
