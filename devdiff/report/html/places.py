"""Paths of the machine a run was made on, which mean nothing to whom its page is mailed.

A name of a tensor may look like a path (``/model/conv/Conv_output_0``), so that only those go that
the report has where paths stand, and those below folders of this very machine.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.report.model import Report

# Where a path in a sentence or an option begins, and what ends it.
_PATH: Final = re.compile(r"(?<![^\s=,:;'\"(])/(?:[^/\s,:;'\"()=]+/)+[^/\s,:;'\"()=]*")


class Shortener:
    """Replaces each such path in a text by its last part."""

    def __init__(self, report: Report, folder: Path | None) -> None:
        whole = {path for text in _texts(report) for path in (text, *_PATH.findall(text))}
        found = {path for path in whole if path.startswith("/") and path.count("/") > 1}
        found -= _tensors(report)
        ordered = sorted(found, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        roots = [folder.resolve()] if folder is not None else []
        roots += [Path.home(), Path.cwd(), Path(sys.prefix), Path(tempfile.gettempdir())]
        below = "|".join(re.escape(str(root)) for root in roots if root != Path("/"))
        self._below = re.compile(rf"(?:{below})(?:/[^\s,:;'\"()]*)?(?![\w.-])")

    def __call__(self, text: str) -> str:
        if "/" not in text:
            return text
        if self._known is not None:
            text = self._known.sub(_last, text)
        return self._below.sub(_last, text)


def _last(found: re.Match[str]) -> str:
    return found[0].rstrip("/").rpartition("/")[2]


def _texts(report: Report) -> Iterator[str]:
    """The parts of a report in which paths stand."""
    yield report.inputs.origin
    yield report.inputs.calibration.origin
    yield from report.command
    if report.manifest is not None and report.manifest.calibration is not None:
        yield report.manifest.calibration.origin
    if report.task is not None:
        yield report.task.truth
        yield report.task.options.get("alphabet", "")
    for rung in report.rungs:
        yield from _strings(rung.identity)
        yield from _strings(rung.about)
    running = report.options.running
    if running is not None:
        yield from filter(None, (running.device, running.runtime, *running.host_runtimes))


def _tensors(report: Report) -> set[str]:
    """Names of tensors, which options may hold, too."""
    found = {output.name for pair in report.pairs for output in pair.outputs}
    for record in report.artifacts:
        for binding in (*record.inputs, *record.outputs):
            found |= {binding.source.name, binding.artifact.name}
    for pairing in report.bindings:
        for tensor in (*pairing.inputs, *pairing.outputs):
            found |= {tensor.source, tensor.artifact}
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, msgspec.Struct):
        yield from _strings(msgspec.structs.asdict(value))
    elif isinstance(value, Mapping):
        yield from _strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
