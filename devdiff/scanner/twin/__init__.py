"""A differentiable twin of a .tflite graph, in torch.

Importing this package imports torch.
"""

from devdiff.scanner.twin import (
    activation,
    blocks,
    conversion,
    convolution,
    elementwise,
    hard_swish,
    linear,
    pooling,
    reduction,
    resize,
    shape,
)
from devdiff.scanner.twin.twin import Twin, before_softmax

# Importing a family registers its builders.
_FAMILIES = (
    activation,
    blocks,
    conversion,
    convolution,
    elementwise,
    hard_swish,
    linear,
    pooling,
    reduction,
    resize,
    shape,
)

__all__ = ["Twin", "before_softmax"]
