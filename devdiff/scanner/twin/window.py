"""The geometry that convolutions and pools share: windows, paddings, and the channels' place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from devdiff.scanner.twin.site import Site


@dataclass(frozen=True, slots=True)
class Window:
    """Sizes along height and width; ``before`` and ``after`` are the zeros around the image."""

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    @classmethod
    def of(cls, site: Site, size: tuple[int, int]) -> Window:
        options = site.options
        stride = (options["stride_h"], options["stride_w"])
        dilation = (options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1))
        before, after = [0, 0], [0, 0]
        if options["padding"] == "SAME":
            for axis in (0, 1):
                given = site.input(0).shape[1 + axis]
                made = -(-given // stride[axis])
                reach = (size[axis] - 1) * dilation[axis] + 1
                total = max((made - 1) * stride[axis] + reach - given, 0)
                before[axis], after[axis] = total // 2, total - total // 2
        return cls(size, stride, dilation, (before[0], before[1]), (after[0], after[1]))

    @property
    def symmetric(self) -> bool:
        return self.before == self.after

    def pad(self, image: Tensor, value: float = 0.0) -> Tensor:
        """``image`` [N, C, H, W] with its margins."""
        (top, left), (bottom, right) = self.before, self.after
        return functional.pad(image, (left, right, top, bottom), value=value)


def channels_first(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Lets a function of [N, C, H, W] work on carried [N, B, H, W, C].

    The axes are renamed and nothing moves in memory: to torch these are channels-last images.
    """

    def run(carried: Tensor, *_: Tensor | None) -> Tensor:
        samples, batch = carried.shape[:2]
        image = function(carried.flatten(0, 1).permute(0, 3, 1, 2))
        return image.permute(0, 2, 3, 1).unflatten(0, (samples, batch))

    return run
