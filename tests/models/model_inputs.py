"""Seeded inputs that look like what each kind of model was made for.

Every function takes a number of samples and a seed and returns one array [N, 1, ...]: samples
first, then the model's own batch of one.
"""

from __future__ import annotations

import string
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Array = npt.NDArray[Any]

_LETTERS: Final = string.ascii_letters + string.digits + " .,:-"
_PADDING_TOKEN: Final = 256


def photos(count: int, seed: int, height: int, width: int) -> Array:
    """Smooth scenes with a few hard edges, float32 [N, 1, 3, height, width] in 0..1.

    The background has the 1/f amplitude spectrum of natural images (Field, 1987).
    """
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    images = np.empty((count, 1, 3, height, width), np.float32)
    for image in images[:, 0]:
        shared = random.normal(size=(height, width))
        for channel in range(3):
            noise = shared + 0.2 * random.normal(size=(height, width))
            smooth = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(height, width))
            image[channel] = 0.5 + random.normal(0, 0.1) + 0.2 * smooth / smooth.std()
        _add_ellipses(image, random)
    return images.clip(0, 1)


def _add_ellipses(image: Array, random: np.random.Generator) -> None:
    _, height, width = image.shape
    for _ in range(int(random.integers(2, 6))):
        mask = Image.new("L", (width, height))
        x, y = random.uniform(0, width), random.uniform(0, height)
        a, b = random.uniform(0.05, 0.3) * width, random.uniform(0.05, 0.3) * height
        ImageDraw.Draw(mask).ellipse((x - a, y - b, x + a, y + b), fill=255)
        inside = np.asarray(mask) > 0
        image[:, inside] = 0.5 * image[:, inside] + 0.5 * random.uniform(0, 1, (3, 1))


def normalized_photos(count: int, seed: int, height: int, width: int) -> Array:
    """`photos`, shifted and scaled by the usual ImageNet statistics."""
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
    deviation = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
    return np.asarray((photos(count, seed, height, width) - mean) / deviation, np.float32)


def text_lines(count: int, seed: int, width: int, flip: bool = False) -> Array:
    """One line of print in each, float32 [N, 1, 3, 48, width] in -1..1; zero right of its end.

    With ``flip`` every second one stands on its head.
    """
    random = np.random.default_rng(seed)
    images = np.zeros((count, 1, 3, 48, width), np.float32)
    for index, image in enumerate(images[:, 0]):
        line = _line(random, height=48, widest=width)
        if flip and index % 2:
            line = line.rotate(180)
        image[:, :, : line.width] = _levels(line)
    return images


def text_pages(count: int, seed: int, height: int, width: int) -> Array:
    """Several lines of print on a light ground, float32 [N, 1, 3, height, width] in -1..1."""
    random = np.random.default_rng(seed)
    images = np.empty((count, 1, 3, height, width), np.float32)
    for image in images[:, 0]:
        page = Image.new("RGB", (width, height), _colour(random, 200, 255))
        top = int(random.integers(4, 24))
        while top < height - 40:
            line = _line(random, height=int(random.integers(20, 40)), widest=width - 16)
            page.paste(line, (int(random.integers(0, width - line.width)), top))
            top += line.height + int(random.integers(4, 40))
        image[:] = _levels(page)
    return images


def _line(random: np.random.Generator, height: int, widest: int) -> Image.Image:
    font = ImageFont.load_default(size=height * 0.6)
    text = "".join(random.choice(list(_LETTERS), int(random.integers(4, 18))))
    length = min(widest, int(font.getlength(text)) + 12)
    line = Image.new("RGB", (length, height), _colour(random, 170, 255))
    ImageDraw.Draw(line).text((6, height * 0.12), text, fill=_colour(random, 0, 90), font=font)
    return line


def _colour(random: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in random.integers(low, high, 3))
    return red, green, blue


def _levels(image: Image.Image) -> Array:
    grey = np.asarray(image, np.float32) / 255
    return np.asarray((grey.transpose(2, 0, 1) - 0.5) / 0.5)


def file_bytes(count: int, seed: int) -> Array:
    """Beginnings and ends of small files of many kinds, int32 [N, 1, 2048] in 0..256.

    1,024 bytes from each end, 256 where the file is shorter.
    """
    random = np.random.default_rng(seed)
    samples = np.full((count, 1, 2048), _PADDING_TOKEN, np.int32)
    for index, sample in enumerate(samples[:, 0]):
        content = _file(index, random).strip()
        begin, end = content[:1024], content[-1024:]
        sample[: len(begin)] = np.frombuffer(begin, np.uint8)
        sample[2048 - len(end) :] = np.frombuffer(end, np.uint8)
    return samples


def _file(kind: int, random: np.random.Generator) -> bytes:
    def words(number: int) -> list[str]:
        return [
            "".join(random.choice(list(string.ascii_lowercase), int(random.integers(2, 9))))
            for _ in range(number)
        ]

    size = int(random.integers(10, 60))
    match kind % 8:
        case 0:
            lines = [
                f"def {a}({b}):\n    return {b}.{c}(self)\n" for a, b, c in _triples(words, size)
            ]
            return ("import os\nimport sys\n\n" + "\n".join(lines)).encode()
        case 1:
            pairs = [f'  "{a}": {{"{b}": {len(c)}}}' for a, b, c in _triples(words, size)]
            return ("{\n" + ",\n".join(pairs) + "\n}").encode()
        case 2:
            rows = [f"<p class='{a}'>{b} <b>{c}</b></p>" for a, b, c in _triples(words, size)]
            return f"<!DOCTYPE html><html><body>{''.join(rows)}</body></html>".encode()
        case 3:
            lines = [
                f"static int {a}(int {b}) {{ return {b}->{c}; }}"
                for a, b, c in _triples(words, size)
            ]
            return ("#include <stdio.h>\n\n" + "\n".join(lines)).encode()
        case 4:
            return (" ".join(words(8 * size)) + ".").encode()
        case 5:
            header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\2\0\0\0"
            return header + random.bytes(40 * size) + b"\0\0\0\0IEND\xaeB`\x82"
        case 6:
            return (
                b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e\0" + random.bytes(30 * size) + bytes(600)
            )
        case _:
            return ("\n".join(",".join(row) for row in _triples(words, size))).encode()


def _triples(words: Any, number: int) -> list[tuple[str, str, str]]:
    found = words(3 * number)
    return list(zip(found[::3], found[1::3], found[2::3], strict=True))


def sound(count: int, seed: int, samples: int) -> Array:
    """Voices of a few harmonics, noise or silence at 16 kHz, float32 [N, 1, samples] in -1..1."""
    random = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    waves = random.normal(0, 0.003, (count, 1, samples))
    for index in range(count):
        if index % 3 == 2:
            continue
        pitch = random.uniform(80, 300)
        for harmonic in range(1, 12):
            phase = random.uniform(0, 2 * np.pi)
            waves[index, 0] += 0.2 / harmonic * np.sin(2 * np.pi * pitch * harmonic * time + phase)
    return waves.clip(-1, 1).astype(np.float32)


def notes(count: int, seed: int) -> Array:
    """Two seconds of plucked notes at 22,050 Hz, float32 [N, 1, 43844, 1] in -1..1."""
    random = np.random.default_rng(seed)
    length, played = 43_844, 8_000
    time = np.arange(played) / 22_050
    envelope = np.exp(-3 * time) * np.minimum(1, 100 * time)
    waves = random.normal(0, 0.002, (count, length))
    for wave in waves:
        for start in range(0, length - played, played):
            pitch = 440 * 2 ** ((int(random.integers(48, 84)) - 69) / 12)
            for harmonic in range(1, 8):
                phase = random.uniform(0, 2 * np.pi)
                tone = np.sin(2 * np.pi * pitch * harmonic * time + phase)
                wave[start : start + played] += 0.3 / harmonic * tone * envelope
    return waves.clip(-1, 1).astype(np.float32)[:, np.newaxis, :, np.newaxis]
