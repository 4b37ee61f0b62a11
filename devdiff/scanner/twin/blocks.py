"""Blocks of pixels turned into channels or batch entries, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from devdiff.scanner.twin.site import Run, Site, builds

if TYPE_CHECKING:
    from torch import Tensor


@builds("SPACE_TO_DEPTH")
def space_to_depth(site: Site) -> Run:
    move, size, shape = site.move(0), int(site.options["block_size"]), site.output.shape

    def run(value: Tensor) -> Tensor:
        rows = move(value).unflatten(3, (-1, size)).unflatten(2, (-1, size))
        return rows.permute(0, 1, 2, 4, 3, 5, 6).reshape(value.shape[0], *shape)

    return run


@builds("DEPTH_TO_SPACE")
def depth_to_space(site: Site) -> Run:
    move, size, shape = site.move(0), int(site.options["block_size"]), site.output.shape

    def run(value: Tensor) -> Tensor:
        parts = move(value).unflatten(4, (size, size, -1))
        return parts.permute(0, 1, 2, 4, 3, 5, 6).reshape(value.shape[0], *shape)

    return run


@builds("SPACE_TO_BATCH_ND")
def space_to_batch(site: Site) -> Run:
    """[B, H, W, C] to [h * w * B, H / h, W / w, C], after padding with zeros."""
    move, shape = site.move(0), site.output.shape
    height, width = _block(site)
    top, bottom, left, right = site.integers(2)

    def run(value: Tensor, *_: Tensor) -> Tensor:
        image = functional.pad(move(value), (0, 0, left, right, top, bottom))
        parts = image.unflatten(3, (-1, width)).unflatten(2, (-1, height))
        return parts.permute(0, 3, 5, 1, 2, 4, 6).reshape(value.shape[0], *shape)

    return run


@builds("BATCH_TO_SPACE_ND")
def batch_to_space(site: Site) -> Run:
    """[h * w * B, H, W, C] to [B, H * h, W * w, C], then cropped."""
    move, shape = site.move(0), site.output.shape
    height, width = _block(site)
    top, _, left, _ = site.integers(2)

    def run(value: Tensor, *_: Tensor) -> Tensor:
        parts = move(value).unflatten(1, (height, width, -1))
        image = parts.permute(0, 3, 4, 1, 5, 2, 6).flatten(4, 5).flatten(2, 3)
        return image[:, :, top : top + shape[1], left : left + shape[2]]

    return run


def _block(site: Site) -> tuple[int, int]:
    sizes = site.integers(1)
    if len(sizes) != 2:
        raise site.unknown(f"over {len(sizes)} axes")
    return sizes[0], sizes[1]
