"""The outputs of the same rung in two runs, where both run directories still hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.changes.record import OutputComparison
from devdiff.device_runner.errors import PackError
from devdiff.device_runner.pack import Status
from devdiff.device_runner.results import ResultReader
from devdiff.exporter.artifact import sha256_file
from devdiff.ladder.ladder import file_name, on_the_way
from devdiff.ladder.run_diff import DiffRequest, diff_runs
from devdiff.options import DEFAULT_GATES
from devdiff.system.errors import DevdiffError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from devdiff.comparison import PairComparison
    from devdiff.progress import Events
    from devdiff.report.model import Report, RungRecord


def compare_outputs(
    before: Report, after: Report, folders: tuple[Path | None, Path | None], events: Events
) -> Iterator[OutputComparison]:
    """Each rung on the way that ran in both, one entry for each of its outputs.

    Without run directories, or over other inputs, only whether the results are equal is known.
    """
    pairs = [
        (rung, other)
        for rung in before.rungs
        if on_the_way(rung.name)
        and rung.error is None
        and (other := after.rung(rung.name)) is not None
        and other.error is None
    ]
    for number, (rung, other) in enumerate(pairs, 1):
        events.phase(f"comparing outputs of {rung.name}, rung {number} of {len(pairs)}")
        yield from _rung(rung, other, before, after, folders)


def _rung(
    rung: RungRecord,
    other: RungRecord,
    before: Report,
    after: Report,
    folders: tuple[Path | None, Path | None],
) -> Iterator[OutputComparison]:
    same_model = rung.model.sha256 == other.model.sha256
    # A pack holds times, too, so that equal packs are rare and packs of equal outputs are not.
    same_bytes = rung.results_sha256 is not None and rung.results_sha256 == other.results_sha256
    first, second = folders
    if before.inputs.sha256 != after.inputs.sha256:
        yield OutputComparison(rung.name, same_model, same_bytes, reason="the inputs are others")
        return
    if first is None or second is None:
        reason = "a report alone holds no outputs: name the run directories"
        yield OutputComparison(rung.name, same_model, same_bytes, reason=reason)
        return
    request = DiffRequest(
        f"{first}:{rung.name}", f"{second}:{rung.name}", gates=before.options.gates or DEFAULT_GATES
    )
    try:
        comparison = diff_runs(request).judged.comparison
    except (DevdiffError, OSError) as error:
        yield OutputComparison(rung.name, same_model, same_bytes, reason=str(error))
        return
    if comparison is None:
        yield OutputComparison(rung.name, same_model, same_bytes, reason="they cannot be compared")
        return
    yield from _compared(rung.name, same_model, comparison)


def _compared(
    rung: str, same_model: bool, comparison: PairComparison
) -> Iterator[OutputComparison]:
    whole = comparison.compared == comparison.samples
    for output in comparison.outputs:
        answers = comparison.classification(output.name)
        accuracy = answers.accuracy if answers is not None else None
        yield OutputComparison(
            rung,
            same_model,
            whole and not output.differing_elements and output.shape_mismatch is None,
            output=output.name,
            answers=answers.top_1 if answers is not None else None,
            harmed=accuracy.only_reference if accuracy is not None else None,
            repaired=accuracy.only_candidate if accuracy is not None else None,
            largest_error=output.max_abs_error,
            snr_db=output.snr_db,
        )


def sample_times(report: Report, folder: Path | None) -> dict[str, npt.NDArray[np.float64]]:
    """Milliseconds of every sample that ran, by rung; of rungs whose results are the report's."""
    import numpy as np

    found: dict[str, npt.NDArray[np.float64]] = {}
    if folder is None:
        return found
    for rung in report.rungs:
        pack = folder / "rungs" / f"{file_name(rung.name)}.pack"
        if rung.error is not None or not on_the_way(rung.name) or not pack.is_file():
            continue
        try:
            if sha256_file(pack) != rung.results_sha256:
                continue
            parts = [
                block.nanoseconds.astype(np.float64) / 1e6
                for block in ResultReader(pack).read_blocks()
                if block.status is Status.OK
            ]
        except (PackError, OSError):
            continue
        if parts:
            found[rung.name] = np.concatenate(parts)
    return found
