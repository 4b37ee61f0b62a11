"""Looks for packs that the native runner's parser and devdiff.device_runner.pack judge differently.

Run it as ``.venv/bin/python scripts/fuzz_runner.py [SECONDS] [SEED]``. The parser is compiled to
trap on undefined behaviour. A pack that splits the two, or ends the parser by a signal, is written
to the current directory, and the exit code is 1.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from devdiff.device_runner.pack import (
    DTYPE_CODES,
    Header,
    PackTensor,
    encode_done,
    encode_header,
    encode_record,
)
from tests.support.pack_judges import assert_agreed, resealed, trapping_programs


def whole_pack(generator: random.Random) -> bytes:
    tensors = []
    for _ in range(generator.randrange(5)):
        shape = tuple(generator.choice((0, 1, 2, 3, 40)) for _ in range(generator.randrange(5)))
        dtype = generator.choice(sorted(DTYPE_CODES))
        names = ["".join(generator.choices("a:é\u4e2d\U0001f600", k=generator.randrange(9)))] * 2
        tensors.append(PackTensor(names[0], dtype, shape, names[1]))
    count, first = generator.randrange(4), generator.randrange(3)
    arrays = [np.ones(tensor.shape, tensor.dtype) for tensor in tensors]
    header = encode_header(Header({"x": "y" * generator.randrange(20)}, tuple(tensors)))
    records = [encode_record(index, arrays) for index in range(first, first + count)]
    return b"".join([header, *records, encode_done(count)])


def damaged(pack: bytes, generator: random.Random) -> bytes:
    """Damage of one of four kinds, mostly such as the checksums do not catch."""
    kind = generator.randrange(6)
    if kind == 0:
        return pack[: generator.randrange(len(pack))]
    if kind == 1:
        changed = bytearray(pack)
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
        return bytes(changed)
    if kind == 2:
        return pack
    return resealed(pack, generator)


def main(seconds: float, seed: int) -> int:
    programs = trapping_programs()
    generator = random.Random(seed)
    deadline = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < deadline:
        pack = damaged(whole_pack(generator), generator)
        try:
            assert_agreed(programs, pack)
        except (AssertionError, subprocess.CalledProcessError) as error:
            found = Path(f"fuzz-{seed}-{tried}.pack")
            found.write_bytes(pack)
            print(f"{found}: {error}")
            return 1
        tried += 1
    print(f"{tried} packs judged alike (seed {seed})")
    return 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    raise SystemExit(
        main(
            float(arguments[0]) if arguments else 60.0,
            int(arguments[1]) if len(arguments) > 1 else time.time_ns() % 1_000_000,
        )
    )
