"""Images are prepared as declared, in order, a few at a time, and a bad one is named."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.inputs import image_workers
from devdiff.inputs.input_set import InputRequest, prepare
from devdiff.inputs.parallel import in_order
from devdiff.inputs.placement import place
from devdiff.inputs.preprocess import Preprocess
from tests.support.data_sets import RGB, gradient, picture, prepared

if TYPE_CHECKING:
    from pathlib import Path

BYTES = TensorSpec("image", (1, 16, 24, 3), "uint8")


def test_a_crop_takes_the_centre(tmp_path: Path) -> None:
    pixels = gradient(tmp_path / "photos/a.png", 20, 30)
    inputs = prepared(tmp_path, tmp_path / "photos", BYTES, "crop=center:16x24")
    np.testing.assert_array_equal(inputs.sample(0)["image"][0], pixels[2:18, 3:27])
    assert inputs.preprocess == {"crop": [16, 24], "layout": "NHWC", "channels": "RGB"}


def test_a_letterbox_keeps_proportions_and_fills_the_rest(tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.png", (20, 20), (10, 20, 30))
    inputs = prepared(tmp_path, tmp_path / "photos", BYTES, "resize=letterbox:16x24")
    sample = inputs.sample(0)["image"][0]
    assert (sample[:, :4] == 114).all()
    assert (sample[:, 20:] == 114).all()
    assert (sample[:, 4:20] == [10, 20, 30]).all()


def test_cover_fills_the_size_before_the_crop(tmp_path: Path) -> None:
    gradient(tmp_path / "photos/a.png", 40, 80)
    steps = "resize=cover:20x20,crop=16x24"
    sample = prepared(tmp_path, tmp_path / "photos", BYTES, steps).sample(0)["image"][0]
    with Image.open(tmp_path / "photos/a.png") as image:
        resized = np.asarray(image.resize((40, 20), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(sample, resized[2:18, 8:32])


def test_nearest_invents_no_value(tmp_path: Path) -> None:
    pixels = gradient(tmp_path / "photos/a.png", 8, 12)
    sample = prepared(tmp_path, tmp_path / "photos", BYTES, "resize=nearest:16x24").sample(0)
    np.testing.assert_array_equal(sample["image"][0], pixels.repeat(2, 0).repeat(2, 1))


def test_boxes_follow_the_image_onto_the_input() -> None:
    box = np.array([[0.0, 0.0, 100.0, 50.0]])
    letterbox = Preprocess.parse("resize=letterbox:64x64")
    placed = place((100, 50), (64, 64), letterbox, may_pad=True)
    np.testing.assert_allclose(placed.boxes(box), [[0, 16, 64, 48]])
    stretched = place((100, 50), (64, 64), Preprocess.parse("resize=64x64"), may_pad=False)
    np.testing.assert_allclose(stretched.boxes(box), [[0, 0, 64, 64]])
    cropped = place((100, 50), (40, 40), Preprocess.parse("crop=40x40"), may_pad=False)
    np.testing.assert_allclose(cropped.boxes(box), [[-30, -5, 70, 45]])


def test_cover_and_crop_are_torchvisions_resize_and_center_crop() -> None:
    """500x333 becomes 384x256 (384.38 cut off), and half of 385 - 224 is 80."""
    steps = Preprocess.parse("resize=cover:256x256,crop=224x224")
    placed = place((500, 333), (224, 224), steps, may_pad=False)
    assert (placed.size, placed.offset) == ((384, 256), (-80, -16))
    placed = place((385, 256), (224, 224), steps, may_pad=False)
    assert (placed.size, placed.offset) == ((385, 256), (-80, -16))


def test_orientation_of_photographs_is_heeded(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    pixels = np.zeros((24, 16, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    Image.fromarray(pixels).save(tmp_path / "photos/a.png", exif=exif)
    sample = prepared(tmp_path, tmp_path / "photos", BYTES).sample(0)["image"][0]
    assert (sample[:, 20:] == 255).all()
    assert (sample[:, :20] == 0).all()


def test_many_images_stay_in_order(tmp_path: Path) -> None:
    for index in range(40):
        picture(tmp_path / f"photos/{index:02}.png", (24, 16), (index, 0, 0))
    inputs = prepared(tmp_path, tmp_path / "photos", BYTES)
    assert [inputs.sample(i)["image"][0, 0, 0, 0] for i in range(40)] == list(range(40))
    assert inputs.describe(7)["name"] == "07.png"


def test_processes_prepare_what_threads_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(70):
        gradient(tmp_path / f"photos/{index:02}.png", 20 + index, 30)
    threads = prepared(tmp_path, tmp_path / "photos")
    monkeypatch.setattr(image_workers, "MANY", 70)
    (tmp_path / "again").mkdir()
    told: list[tuple[int, int]] = []
    processes = prepare(
        InputRequest(tmp_path / "photos"),
        (RGB,),
        {},
        tmp_path / "again/run-inputs",
        calibrate=False,
        progress=lambda done, total: told.append((done, total)),
    )
    assert processes.sha256 == threads.sha256
    np.testing.assert_array_equal(processes.arrays["image"], threads.arrays["image"])
    assert told == [(done, 70) for done in range(1, 71)]
    # What is there already is held against its hash.
    assert prepared(tmp_path / "again", tmp_path / "photos").sha256 == threads.sha256


def test_processes_name_the_first_broken_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(100):
        picture(tmp_path / f"photos/{index:02}.png")
    for index in (90, 41):
        (tmp_path / f"photos/{index}.png").write_bytes(b"no image")
    monkeypatch.setattr(image_workers, "MANY", 1)
    with pytest.raises(UsageError, match=r"41\.png cannot be read as an image"):
        prepared(tmp_path, tmp_path / "photos")


@pytest.mark.slow
def test_an_interrupt_ends_the_processes_without_a_word(tmp_path: Path) -> None:
    for index in range(1_000):
        picture(tmp_path / f"photos/{index:03}.png", (600, 450))
    script = (
        "import pathlib, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from devdiff.inputs.input_set import InputRequest, prepare\n"
        "from devdiff.exporter.artifact import TensorSpec\n"
        "spec = TensorSpec('image', (1, 3, 16, 24), 'float32')\n"
        "folder = pathlib.Path('photos')\n"
        "say = lambda done, total: print(done, flush=True)\n"
        "try:\n"
        "    prepare(InputRequest(folder), (spec,), {}, pathlib.Path('out'), False, say)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    # No guard around the script's body: the processes must not run it again.
    (tmp_path / "user.py").write_text(script)
    child = subprocess.Popen(
        [sys.executable, "user.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "1\n"
    os.killpg(child.pid, signal.SIGINT)
    said, complaints = child.communicate(timeout=60)
    assert said.endswith("interrupted\n")
    assert complaints == ""
    deadline = time.monotonic() + 30
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(child.pid, 0)
            time.sleep(0.1)


def test_an_image_smaller_than_the_crop_is_named_unless_it_may_be_padded(tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.png", (24, 16))
    picture(tmp_path / "photos/b.png", (20, 16), (7, 7, 7))
    with pytest.raises(UsageError, match=r"b\.png .*16x20, smaller than the 16x24"):
        prepared(tmp_path, tmp_path / "photos", BYTES, "crop=16x24")
    (tmp_path / "padded").mkdir()
    inputs = prepared(tmp_path / "padded", tmp_path / "photos", BYTES, "crop=16x24,pad=9")
    sample = inputs.sample(1)["image"][0]
    assert (sample[:, :2] == 9).all()
    assert (sample[:, 2:22] == 7).all()


def test_a_picture_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    """A PNG whose header claims 900 megapixels, and one that Pillow would only warn of."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    (tmp_path / "photos").mkdir()
    for side in (30_000, 10_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b""))
        (tmp_path / "photos/bomb.png").write_bytes(png + chunk(b"IEND", b""))
        with pytest.raises(UsageError, match=r"bomb\.png is too large an image"):
            prepared(tmp_path, tmp_path / "photos")


def test_a_cut_jpeg_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "photos/a.jpg", (200, 200))
    data = (tmp_path / "photos/a.jpg").read_bytes()
    (tmp_path / "photos/a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(UsageError, match=r"a\.jpg cannot be read as an image"):
        prepared(tmp_path, tmp_path / "photos")


@pytest.mark.parametrize(
    ("spec", "steps", "message"),
    [
        (RGB, "resize=8x8", "resize=8x8 does not fit image"),
        (RGB, "resize=64x64,crop=8x8", "crop=8x8 does not fit image"),
        (RGB, "rate=16000", "are for sound, not images"),
        (TensorSpec("image", (1, 3, 8, 8), "int8"), "", "without a change of meaning"),
        (TensorSpec("x", (1, 10), "float32"), "", "images do not fit input x"),
    ],
)
def test_steps_that_do_not_fit_are_explained(
    tmp_path: Path, spec: TensorSpec, steps: str, message: str
) -> None:
    picture(tmp_path / "photos/a.png")
    with pytest.raises(UsageError, match=message):
        prepared(tmp_path, tmp_path / "photos", spec, steps)


@pytest.mark.parametrize(
    "text",
    ["resize=fancy:3x3", "crop=left:3x3", "crop=3", "rate=0", "mono=3", "pad=x", "scale=inf"],
)
def test_malformed_steps_of_images_and_sound_are_explained(text: str) -> None:
    with pytest.raises(UsageError, match="--preprocess"):
        Preprocess.parse(text)


def test_a_pipeline_survives_its_json_form() -> None:
    steps = "resize=cover:9x9,crop=8x8,pad=1,mean=1:2:3,rate=8000,length=9,mono,normalize"
    pipeline = Preprocess.parse(steps)
    assert Preprocess.from_json(pipeline.to_json()) == pipeline


def test_no_more_than_the_window_is_begun() -> None:
    begun, lock = [0], threading.Lock()

    def job() -> int:
        with lock:
            begun[0] += 1
            return begun[0]

    for taken, _ in enumerate(in_order([job] * 50, 4)):
        assert begun[0] <= taken + 5
    assert begun[0] == 50


def test_a_failing_job_stops_those_behind_it() -> None:
    def fail() -> int:
        raise UsageError("no")

    done: list[int] = []
    with pytest.raises(UsageError, match="no"):
        for result in in_order([lambda: 1, fail, *[lambda: 2] * 50], 3):
            done.append(result)  # noqa: PERF402
    assert done == [1]
