"""Sound as pictures: the waveform, and how loud each pitch is over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.report.html.pictures import Picture, png
from devdiff.report.html.svg import Drawing

if TYPE_CHECKING:
    from markupsafe import Markup

    from devdiff.exporter.artifact import Array

_SHORTEST: Final = 1000
_MOST_CHANNELS: Final = 2
_WIDTH: Final = 240
_HEIGHT: Final = 56
_COLUMNS: Final = 120
_WINDOW: Final = 256
_ROWS: Final = 64
_RANGE_DB: Final = 70.0


def as_signal(array: Array) -> Array | None:
    """One sample as a waveform float32 [n], of two channels the first; None when it does not look
    like one: a single long axis of floats."""
    value = array.reshape([size for size in array.shape if size != 1])
    if value.dtype.kind != "f" or value.ndim not in (1, 2) or max(value.shape) < _SHORTEST:
        return None
    if value.ndim == 2:
        if min(value.shape) > _MOST_CHANNELS:
            return None
        value = value[:, 0] if value.shape[0] > value.shape[1] else value[0]
    return np.nan_to_num(value.astype(np.float32), posinf=0.0, neginf=0.0)


def waveform(signal: Array) -> Markup:
    """The lowest and highest value of every stretch of a signal [n]."""
    parts = np.array_split(signal, min(_COLUMNS, len(signal)))
    peak = max(float(np.abs(signal).max(initial=0.0)), 1e-9)
    middle, reach = _HEIGHT / 2, _HEIGHT / 2 - 1
    places = np.linspace(0, _WIDTH, len(parts))
    edge = [
        [
            (float(x), middle - reach * float(extreme(part)) / peak)
            for x, part in zip(places, parts, strict=True)
        ]
        for extreme in (np.max, np.min)
    ]
    drawing = Drawing(_WIDTH, _HEIGHT, "wave")
    drawing.line(0, middle, _WIDTH, middle, "grid")
    drawing.path([*edge[0], *reversed(edge[1])], "sound")
    return drawing.markup()


def spectrogram(signal: Array) -> Picture | None:
    """Low pitches at the bottom, the loudest 70 dB from black to white; None of short signals."""
    if len(signal) < 4 * _WINDOW:
        return None
    starts = np.linspace(0, len(signal) - _WINDOW, 2 * _COLUMNS).astype(int)
    frames = signal[starts[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)[:, 1:]) ** 2
    bands = power.reshape(len(starts), _ROWS, -1).mean(axis=2).T[::-1]
    level = 10 * np.log10(np.maximum(bands, 1e-12))
    shown = 255 * (1 + (level - level.max()) / _RANGE_DB)
    return png(np.clip(shown, 0, 255).astype(np.uint8), longest=2 * _COLUMNS)
