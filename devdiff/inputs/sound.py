"""Sound: WAV files as the waveforms a model takes.

Samples become float32 in -1..1 whatever they are stored as; everything else is a declared step.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs.parallel import in_order
from devdiff.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Iterator

SOUND_SUFFIXES: Final = frozenset({".wav"})
_WINDOW: Final = 16


@dataclass(frozen=True, slots=True)
class Clip:
    """A waveform, float32 [samples, channels] in -1..1, and its rate in Hz."""

    wave: Array
    rate: int


@dataclass(frozen=True, slots=True)
class SoundRows:
    """WAV files, decoded and prepared into the very tensors of one input."""

    paths: tuple[Path, ...]
    pipeline: Preprocess
    spec: TensorSpec

    @property
    def count(self) -> int:
        return len(self.paths)

    @property
    def ready(self) -> bool:
        return True

    def chunks(self) -> Iterator[Array]:
        fitter = SoundFitter(self.pipeline, self.spec)
        jobs = (partial(_read, path) for path in self.paths)
        for path, clip in zip(self.paths, in_order(jobs, _WINDOW), strict=True):
            yield fitter.fit(clip, str(path))[np.newaxis]


class SoundFitter:
    """Brings clips into the shape of one input, and sees to it that they share a rate."""

    def __init__(self, pipeline: Preprocess, spec: TensorSpec) -> None:
        check_sound(spec, pipeline)
        self._pipeline = pipeline
        self._spec = spec
        self._first: tuple[int, str] | None = None

    def fit(self, clip: Clip, name: str) -> Array:
        """The input's tensor of one clip. Raises `UsageError` naming it."""
        steps, rate = self._pipeline, self._pipeline.rate
        wave = clip.wave.mean(axis=1, keepdims=True) if steps.mono else clip.wave
        if rate is not None:
            wave = resample(wave, clip.rate, rate)
        self._first = self._first or (clip.rate, name)
        if rate is None and clip.rate != self._first[0]:
            raise UsageError(
                f"{name} has {clip.rate} Hz and {self._first[1]} {self._first[0]} Hz: give the "
                "rate the model was trained on, --preprocess rate=HZ"
            )
        if steps.length is not None:
            missing = max(0, steps.length - len(wave))
            wave = np.pad(wave[: steps.length], ((0, missing), (0, 0)))
        if steps.normalize:
            peak = float(np.abs(wave).max(initial=0.0))
            wave = wave / np.float32(peak) if peak > 0 else wave
        return self._shaped(wave, name)

    def _shaped(self, wave: Array, name: str) -> Array:
        spec = self._spec
        samples, channels = wave.shape
        for shape, value in (((samples, channels), wave), ((channels, samples), wave.T)):
            bare = tuple(size for size in shape if size != 1)
            if bare == tuple(size for size in spec.shape if size != 1):
                tensor = np.ascontiguousarray(value, np.float32).reshape(spec.shape)
                return self._pipeline.apply(tensor, spec)
        if channels > 1 and spec.elements in (samples, self._pipeline.length):
            raise UsageError(
                f"{name} has {channels} channels, input {spec.describe()} takes one: "
                "add --preprocess mono"
            )
        raise UsageError(
            f"{name} has {samples} samples of {channels} channel{'s' if channels > 1 else ''}, "
            f"input {spec.describe()} takes {spec.elements} values: give --preprocess "
            f"length={spec.elements // channels} (cuts what is longer, ends in zeros what is "
            "shorter)"
        )


def check_sound(spec: TensorSpec, pipeline: Preprocess) -> None:
    """Raises `UsageError` when an input takes no waveform, or a step is one of images."""
    if spec.dtype != "float32" or sum(size > 1 for size in spec.shape) not in (1, 2):
        raise UsageError(
            f"sound does not fit input {spec.describe()}: a waveform needs float32 with one axis "
            "of samples; give features as arrays in .npz"
        )
    if pipeline.of_images:
        raise UsageError(
            "--preprocess: resize, crop, pad and channels are for images, not for sound"
        )


def _read(path: Path) -> Clip:
    return read_wav(path, str(path))


def read_wav(source: Path | bytes, name: str) -> Clip:
    """A WAV file. Raises `UsageError` naming it when it is damaged or of an unknown kind."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            # Chunks that are no sound (titles, cue points) are no reason for a word.
            warnings.filterwarnings("ignore", category=wavfile.WavFileWarning)
            rate, data = wavfile.read(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (
        ValueError,
        EOFError,
        TypeError,
        OverflowError,
        MemoryError,
        ZeroDivisionError,
    ) as error:
        raise UsageError(f"{name} cannot be read as a WAV file: {error}") from error
    except Exception as error:  # struct.error, IndexError: SciPy trusts the header
        raise UsageError(f"{name} is a damaged WAV file: {error}") from error
    if data.size == 0 or rate < 1:
        raise UsageError(f"{name} holds no sound")
    wave = data.reshape(len(data), -1)
    if wave.dtype == np.uint8:
        wave = (wave.astype(np.float32) - 128) / 128
    elif wave.dtype.kind == "i":
        # 24 bits come in the upper bytes of 32.
        wave = (wave / np.float64(2.0 ** (8 * wave.dtype.itemsize - 1))).astype(np.float32)
    return Clip(wave.astype(np.float32, copy=False), int(rate))


def resample(wave: Array, rate: int, wanted: int) -> Array:
    """``wave`` [samples, channels] from one rate in Hz to another, by a polyphase filter."""
    if rate == wanted:
        return wave
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    resampled: Array = resample_poly(wave, wanted // common, rate // common, axis=0)
    return resampled.astype(np.float32, copy=False)
