"""An image is built once, whole, by one process, and then needs no network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual.image import ensure_image
from devdiff.system.cache import cache_root
from tests.support.phone_fixtures import in_another_process

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

BUILD = (
    "from devdiff.device_runner.virtual.image import ensure_image\n"
    "said = []\n"
    "image = ensure_image(say=said.append)\n"
    "print(image.key, sum('together' in text for text in said))\n"
)
NOWHERE = "http://127.0.0.1:9/debian"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing but the compiler's own, which takes half a minute to fill."""
    compiler = cache_root() / "zig"
    compiler.mkdir(parents=True, exist_ok=True)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "zig").symlink_to(compiler)
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(cache))
    return cache


def test_two_builds_at_once_make_one_image_and_it_is_kept(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = [in_another_process(BUILD) for _ in range(2)]
    said = [child.communicate(timeout=300)[0].split() for child in children]
    assert said[0][0] == said[1][0]
    assert sorted(words[1] for words in said) == ["0", "1"]
    # From now on the network is not asked.
    image = ensure_image(mirror=NOWHERE)
    assert image.key == said[0][0]
    assert sorted(path.name for path in (empty_cache / "virtual").iterdir()) == [
        "images",
        "images.lock",
    ]
    with pytest.raises(VirtualPhoneError, match=r"no mirror serves .*--mirror ADDRESS"):
        ensure_image(mirror=NOWHERE, refresh=True)
    assert ensure_image(mirror=NOWHERE) == image
    # Another build of the same packages is the same, byte for byte.
    monkeypatch.undo()
    usual = ensure_image()
    if usual.packages == image.packages:
        for mine, theirs in zip(
            sorted(image.directory.iterdir()), sorted(usual.directory.iterdir()), strict=True
        ):
            assert mine.read_bytes() == theirs.read_bytes(), mine.name


def test_a_damaged_image_is_not_used(empty_cache: Path) -> None:
    image = ensure_image()
    names = json.loads((image.directory / "sha256.json").read_text())["files"]
    assert set(names) == {"Image", "adbd", "initramfs"}
    whole = image.kernel.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    image.kernel.write_bytes(changed)
    with pytest.raises(VirtualPhoneError, match="no mirror serves"):
        ensure_image(mirror=NOWHERE)
    again = ensure_image()
    assert again.key == image.key
    assert again.kernel.read_bytes() == whole
