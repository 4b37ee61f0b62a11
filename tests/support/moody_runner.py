"""A runner process with moods, for tests: doubles its input, and does as it is told on samples.

Told by the environment: ``DIE_AT`` (dies by signal), ``HANG_AT`` (sleeps), ``FAIL_AT`` (reports a
failed sample) take comma-separated sample numbers; ``REFUSE`` refuses with its text;
``DIE_LOADING`` dies before it is ready.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from devdiff.device_runner.pack import (
    Header,
    Status,
    encode_done,
    encode_header,
    encode_record,
    read_header,
    read_record,
)


def told(name: str) -> set[int]:
    return {int(part) for part in os.environ.get(name, "").split(",") if part}


def main() -> int:
    if os.environ.get("REFUSE"):
        print(json.dumps({"ok": False, "stage": "model", "error": os.environ["REFUSE"]}))
        return 4
    if os.environ.get("DIE_LOADING"):
        os.kill(os.getpid(), signal.SIGSEGV)
    source = sys.stdin.buffer
    header = read_header(source)
    done = 0
    with Path(sys.argv[sys.argv.index("--results") + 1]).open("wb") as results:
        results.write(encode_header(Header({"runtime": "moody"}, header.tensors)))
        results.flush()
        while not isinstance(record := read_record(source, header.tensors), int):
            if record.index in told("DIE_AT"):
                os.kill(os.getpid(), signal.SIGSEGV)
            if record.index in told("HANG_AT"):
                time.sleep(60)
            if record.index in told("FAIL_AT"):
                line = encode_record(record.index, status=Status.FAILED, message="not today")
            else:
                line = encode_record(record.index, [2 * record.arrays[0]], nanoseconds=7)
            results.write(line)
            results.flush()
            done += 1
        results.write(encode_done(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
