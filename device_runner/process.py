"""Runs a job in a runner process on this machine, and survives what happens to it.

The process reads samples from a pipe and appends results to a segment file beside the result pack.
However it ends, the whole records of the segment move into the result pack and the next process
goes on behind them; a sample that killed its process is recorded as crashed and passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from devdiff.device_runner import memory
from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.pack import Header, encode_done, encode_header, record_parts
from devdiff.device_runner.retry import Ending, Policy, run_to_end
from devdiff.device_runner.tail import RecordCounter
from devdiff.system import interrupts

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.device_runner.runner import Job, Outcome

PARENT: Final = "DEVDIFF_PARENT"
"""In a runner process: the number of the process that feeds it."""
_POLL_S: Final = 0.02
_PIPE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a runner process; ``--inputs - --results FILE`` is appended to ``argv``."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


def run(command: Command, job: Job, progress: Callable[[int], None]) -> Outcome:
    """Run ``job`` to its end, restarting the process behind samples that kill it.

    Raises `RunnerError` when the model cannot be loaded at all, or too many samples kill it.
    """

    def attempt(first: int, segment: Path) -> Ending:
        return _run_process(command, job, first, segment, progress)

    outcome = run_to_end(job, Policy(), attempt)
    progress(job.samples)
    return outcome


def _run_process(
    command: Command, job: Job, first: int, segment: Path, progress: Callable[[int], None]
) -> Ending:
    """One runner process over the samples from ``first`` on."""
    argv = [*command.argv, "--inputs", "-", "--results", str(segment)]
    limit = memory.allowed(job.model)
    with tempfile.TemporaryFile() as output, job.log.open("ab") as log:
        process: subprocess.Popen[bytes] | None = None
        feeder: _Feeder | None = None
        try:
            # An interrupt between the start and the assignment would leave a runner that nobody
            # knows of.
            with interrupts.deferred():
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=log,
                    env={**os.environ, **command.env, PARENT: str(os.getpid())},
                    start_new_session=True,
                )
            if limit is not None:
                # Now rather than before it runs another program, which would cost a fork.
                with contextlib.suppress(ProcessLookupError, ValueError):
                    resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
            printed = log.tell()
            assert process.stdin is not None
            feeder = _Feeder(process.stdin, job, first)
            feeder.start()
            late = _watch(process, job, segment, first, progress)
        except OSError as error:
            if process is not None:
                raise
            raise RunnerError(f"cannot start {argv[0]}: {error.strerror}") from error
        finally:
            if process is not None:
                if process.poll() is None:
                    process.kill()
                process.wait()
            if feeder is not None and feeder.ident is not None:
                feeder.join()
        if feeder.error is not None:
            raise feeder.error
        if late:
            return Ending(death=f"gave no answer for {job.timeout_s:g} s and was stopped")
        output.seek(0)
        ending = _ending(process.returncode, output.read(), job)
        if limit is not None and _refused_memory(ending, job.log, printed):
            reason = memory.too_much(limit)
            if ending.refusal:
                return Ending(refusal=f"{job.model.name}: {reason}")
            return Ending(death=f"{ending.death}, {reason}")
        return ending


def _refused_memory(ending: Ending, log: Path, printed: int) -> bool:
    """Whether a process ended for want of memory, by what it said or printed behind ``printed``."""
    if memory.refused((ending.refusal or "").encode()):
        return True
    with log.open("rb") as stream:
        stream.seek(printed)
        return bool(ending.refusal or ending.death) and memory.refused(stream.read(_PIPE_BYTES))


def _ending(code: int, output: bytes, job: Job) -> Ending:
    if code == 0:
        return Ending()
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return Ending(death=f"was killed by {name}{hint}")
    # The last line: a runner that failed after a good start has said both.
    with contextlib.suppress(ValueError, IndexError):
        about = json.loads(output.splitlines()[-1])
        if isinstance(about, dict) and about.get("ok") is False:
            return Ending(refusal=f"{job.model.name}: {about.get('error', 'no reason given')}")
    return Ending(death=f"ended with code {code}")


class _Feeder(threading.Thread):
    """Writes the samples into the runner's pipe while the runner works on earlier ones."""

    def __init__(self, pipe: IO[bytes], job: Job, first: int) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._job = job
        self._first = first
        self.error: BaseException | None = None
        with contextlib.suppress(OSError, ImportError, AttributeError):
            import fcntl

            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def run(self) -> None:
        job = self._job
        try:
            self._pipe.write(encode_header(Header({"samples": job.samples}, job.tensors)))
            for index in range(self._first, job.samples):
                self._pipe.writelines(record_parts(index, job.encode(index)))
            self._pipe.write(encode_done(job.samples - self._first))
            self._pipe.flush()
        except BrokenPipeError:
            pass  # the runner is gone; how it ended tells why
        except BaseException as error:  # noqa: BLE001  raised again by who joins the thread
            self.error = error
        finally:
            with contextlib.suppress(BrokenPipeError):
                self._pipe.close()


def _watch(
    process: subprocess.Popen[bytes],
    job: Job,
    segment: Path,
    first: int,
    progress: Callable[[int], None],
) -> bool:
    """Wait for the process, reporting progress; returns whether it was too slow to go on."""
    last, since = 0, time.monotonic()
    progress(first)
    with contextlib.closing(RecordCounter(segment)) as tail:
        while True:
            try:
                process.wait(_POLL_S)
                return False
            except subprocess.TimeoutExpired:
                count = tail.count()
            if count != last:
                last, since = count, time.monotonic()
                progress(first + count)
            elif time.monotonic() - since > job.timeout_s:
                return True
