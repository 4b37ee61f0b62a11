"""Running a job to its end over as many runner processes as it takes.

Where the runner lives (a process here, a phone) makes no difference to what its death means: whole
records are kept, the next process goes on behind them, and a sample that kills its process again
and again is named, and passed over only when that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.journal import Journal
from devdiff.device_runner.runner import Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_CRASHES: Final = 5


@dataclass(frozen=True, slots=True)
class Ending:
    """How a runner process ended.

    ``death`` is empty for a good end. ``refusal`` is what it said when it could not even begin.
    ``lost`` says that the way to it broke: no sample is to blame, whatever it was doing. ``killed``
    says that it did not die by itself.
    """

    death: str = ""
    refusal: str = ""
    lost: bool = False
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How often to try again.

    ``crashes_a_sample`` processes may die on one sample, or while they load the model, before it is
    given up; then the run stops, or with ``keep_going`` passes the sample over, `MAX_CRASHES` of
    them at most. ``losses`` is how often in
    a row the way to the runner may break without a single new sample.
    """

    crashes_a_sample: int = 1
    keep_going: bool = True
    losses: int = 0


def run_to_end(
    job: Job, policy: Policy, attempt: Callable[[int, Path], Ending], log: str | None = None
) -> Outcome:
    """Call ``attempt(first, segment)`` until every sample has its record.

    An attempt runs samples from ``first`` on and leaves their records in ``segment``, a result pack
    that may be cut off anywhere. Raises `RunnerError` when the model cannot be loaded, or the
    policy is exhausted; what was measured stays in ``job.results``.
    """
    log = log or f"what it printed is in {job.log}"
    journal = Journal(job.results)
    segment = job.results.with_name(job.results.name + ".segment")
    journal.absorb(segment)
    resumed = journal.samples
    skipped = crashes_here = crashes_loading = losses = 0
    while not journal.complete:
        if journal.samples == job.samples:
            journal.finish()
            break
        before = journal.samples
        ending = attempt(before, segment)
        started = journal.absorb(segment)
        if journal.samples > before:
            crashes_here = losses = 0
        if ending.refusal:
            raise RunnerError(ending.refusal)
        if ending.lost:
            losses += 1
            if losses > policy.losses:
                raise RunnerError(
                    f"{ending.death}; {journal.samples} of {job.samples} samples are kept: run the "
                    "same command again to continue"
                )
        elif ending.death and not started:
            crashes_loading += 1
            if crashes_loading >= policy.crashes_a_sample:
                blame = "" if ending.killed else ": the model or the runtime is broken"
                raise RunnerError(
                    f"the runner {ending.death} while loading {job.model.name}{blame}; {log}"
                )
        elif ending.death:
            crashes_here += 1
            if crashes_here >= policy.crashes_a_sample:
                skipped += 1
                _give_up_sample(job, policy, journal, ending, skipped, log)
                crashes_here = 0
        elif journal.samples == before:
            raise RunnerError(
                f"the runner stopped after {before} of {job.samples} samples and gave no reason; "
                f"{log}"
            )
    return Outcome(journal.about, resumed)


def _give_up_sample(
    job: Job, policy: Policy, journal: Journal, ending: Ending, skipped: int, log: str
) -> None:
    sample = journal.samples
    if not policy.keep_going:
        raise RunnerError(
            f"the runner {ending.death} at sample {sample} of {job.model.name}, "
            f"{policy.crashes_a_sample} times: give --keep-going to pass over such samples; {log}"
        )
    if skipped > MAX_CRASHES:
        raise RunnerError(
            f"the runner {ending.death} at sample {sample}, after it had died on {MAX_CRASHES} "
            f"other samples: giving up; {log}"
        )
    journal.add_crash(f"the runner {ending.death}")
