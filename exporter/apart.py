"""Steps of an export in processes of their own, for models whose copies fill the memory.

onnxsim, onnx2tf, TensorFlow and its converter each hold several copies of all weights, and none
gives them back. A step that ends with its process leaves nothing behind for the next one. Small
models spare the seconds that every process takes to import its framework.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import signal
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Final, TypeVar

from devdiff.exporter.errors import ExporterError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LARGE: Final = 64 << 20
"""From this many bytes of weights on, steps run apart."""
_PR_SET_PDEATHSIG: Final = 1


def run(step: Callable[[], T]) -> T:
    """What ``step`` returns, which pickles, from a copy of this process that ends with it.

    No framework may have been imported here yet: their threads do not survive the copying. Raises
    what the step raises of ours, `WorkerError` for anything else and when the process dies.
    """
    give_back()
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            _child(step, answer.fileno())
        _, status, usage = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        # For the log, where whoever looks for the largest step finds it.
        print(f"a step apart took {usage.ru_maxrss / 1024:.0f} MiB at most", file=sys.stderr)
        if code < 0:
            # As if it had been ours: whoever waits for us knows what to say of each.
            os.kill(os.getpid(), -code)
        answer.seek(0)
        data = answer.read()
    if not data:
        raise WorkerError(f"a step of the export ended with code {code}")
    good, value = pickle.loads(data)  # noqa: S301 - written by our own copy
    if not good:
        raise value
    result: T = value
    return result


def give_back() -> None:
    """Give memory that was freed back to the machine; the copies would count it as theirs."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _child(step: Callable[[], T], answer: int) -> None:
    code = 1
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            outcome: tuple[bool, object] = (True, step())
        except (ExporterError, OSError, MemoryError) as error:
            outcome = (False, error)
        except BaseException as error:  # noqa: BLE001  handed to the parent
            traceback.print_exc()
            outcome = (False, WorkerError(f"{type(error).__name__}: {error}"))
        with os.fdopen(answer, "wb") as stream:
            pickle.dump(outcome, stream)
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
