"""Node data for Model Explorer: errors on the graph, by the names of the operators' outputs.

The form is what its ``node_data_builder.GraphNodeData`` saves; load the file beside the .tflite.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from devdiff.ladder.run_directory import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# From what is harmless to what is not; both ends read on light and dark pages.
_GRADIENT: Final = (("0", "#e8f5e9"), ("0.5", "#ffd54f"), ("1", "#d84315"))


def write(path: Path, values: Mapping[str, float | None], *, worst_is_low: bool = False) -> Path:
    """Write ``values`` by tensor name; those that are None or infinite are left out.

    ``worst_is_low`` turns the colours around, for signal-to-noise ratios.
    """
    colours = [colour for _, colour in _GRADIENT]
    if worst_is_low:
        colours.reverse()
    data = {
        "results": {
            name: {"value": value}
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        },
        "gradient": [
            {"stop": float(stop), "bgColor": colour}
            for (stop, _), colour in zip(_GRADIENT, colours, strict=True)
        ],
    }
    write_json(path, data)
    return path
