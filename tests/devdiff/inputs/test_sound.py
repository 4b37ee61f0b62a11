"""Sound becomes the waveform a model takes by declared steps only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.io import wavfile

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs.sound import read_wav
from tests.support.data_sets import RGB, WAVE, prepared, tone

if TYPE_CHECKING:
    from pathlib import Path


def test_samples_are_those_of_the_file_in_minus_one_to_one(tmp_path: Path) -> None:
    wave = tone(tmp_path / "clips/a.wav")
    inputs = prepared(tmp_path, tmp_path / "clips", WAVE)
    np.testing.assert_allclose(inputs.sample(0)["wave"][0], wave / 32768, atol=1e-7)
    assert any("at the rate they were recorded with" in note for note in inputs.notes)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_every_way_to_store_a_sample_means_the_same(tmp_path: Path, dtype: str) -> None:
    wave = 0.5 * np.sin(np.arange(400) / 7)
    if dtype == "float32":
        stored = wave.astype(dtype)
    elif dtype == "uint8":
        stored = np.round(128 + 128 * wave).astype(dtype)
    else:
        stored = np.round(wave * -float(np.iinfo(dtype).min)).astype(dtype)
    wavfile.write(tmp_path / "a.wav", 8000, stored)
    clip = read_wav(tmp_path / "a.wav", "a.wav")
    assert clip.rate == 8000
    np.testing.assert_allclose(clip.wave[:, 0], wave, atol=1 / 250)


def test_a_declared_rate_resamples(tmp_path: Path) -> None:
    tone(tmp_path / "clips/a.wav", rate=48_000, samples=4800, hz=200)
    sample = prepared(tmp_path, tmp_path / "clips", WAVE, "rate=16000").sample(0)["wave"][0]
    expected = 0.5 * np.sin(2 * np.pi * 200 * np.arange(1600) / 16_000)
    np.testing.assert_allclose(sample[50:-50], expected[50:-50], atol=2e-3)


def test_a_declared_length_cuts_and_fills(tmp_path: Path) -> None:
    long, short = (
        tone(tmp_path / "clips/a.wav", samples=2000),
        tone(tmp_path / "clips/b.wav", samples=900),
    )
    inputs = prepared(tmp_path, tmp_path / "clips", WAVE, "length=1600")
    np.testing.assert_allclose(inputs.sample(0)["wave"][0], long[:1600] / 32768, atol=1e-7)
    np.testing.assert_allclose(inputs.sample(1)["wave"][0, :900], short / 32768, atol=1e-7)
    assert not inputs.sample(1)["wave"][0, 900:].any()


def test_mono_mixes_and_normalize_reaches_full_scale(tmp_path: Path) -> None:
    left = tone(tmp_path / "clips/a.wav")
    both = np.stack([left, np.zeros_like(left)], 1)
    wavfile.write(tmp_path / "clips/a.wav", 16_000, both)
    with pytest.raises(UsageError, match=r"has 2 channels.*add --preprocess mono"):
        prepared(tmp_path, tmp_path / "clips", WAVE)
    sample = prepared(tmp_path, tmp_path / "clips", WAVE, "mono,normalize").sample(0)["wave"]
    assert np.abs(sample).max() == pytest.approx(1)
    stereo = TensorSpec("wave", (1, 2, 1600), "float32")
    (tmp_path / "stereo").mkdir()
    sample = prepared(tmp_path / "stereo", tmp_path / "clips", stereo).sample(0)["wave"]
    np.testing.assert_allclose(sample[0], both.T / 32768, atol=1e-7)


def test_clips_of_several_rates_need_one_to_be_declared(tmp_path: Path) -> None:
    tone(tmp_path / "clips/a.wav")
    tone(tmp_path / "clips/b.wav", rate=8000)
    with pytest.raises(UsageError, match=r"b\.wav has 8000 Hz and .*a\.wav 16000 Hz.*rate=HZ"):
        prepared(tmp_path, tmp_path / "clips", WAVE)


def test_a_clip_of_another_length_says_both_sides(tmp_path: Path) -> None:
    tone(tmp_path / "clips/a.wav", samples=1200)
    with pytest.raises(UsageError, match=r"1200 samples of 1 channel.*1600 values.*length=1600"):
        prepared(tmp_path, tmp_path / "clips", WAVE)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    tone(tmp_path / "clips/a.wav")
    whole = (tmp_path / "clips/a.wav").read_bytes()
    for damaged in (b"", b"RIFF", whole[:30], b"x" * 400, whole[:20] + b"\xff\xff" + whole[22:]):
        (tmp_path / "clips/a.wav").write_bytes(damaged)
        with pytest.raises(UsageError, match=r"a\.wav"):
            prepared(tmp_path, tmp_path / "clips", WAVE)


def test_sound_is_not_for_image_inputs_nor_their_steps(tmp_path: Path) -> None:
    tone(tmp_path / "clips/a.wav")
    with pytest.raises(UsageError, match="sound does not fit input image"):
        prepared(tmp_path, tmp_path / "clips", RGB)
    with pytest.raises(UsageError, match="are for images, not for sound"):
        prepared(tmp_path, tmp_path / "clips", WAVE, "resize=3x3")
