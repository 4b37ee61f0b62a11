"""What devdiff makes of a changed file: it reads it, or refuses it in a sentence, or neither."""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from devdiff.cli.failures import exit_code, message
from tests.support.mutations import mutated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.support.file_formats import Format

Kind = Literal["read", "refused", "traceback", "wrong pass", "hang", "crash"]


@dataclass(frozen=True)
class Outcome:
    kind: Kind
    detail: str = ""


def outcome(form: Format, path: Path, whole: Path) -> Outcome:
    """Read one changed file. A refusal is an error with a message and exit code 1 or 2."""
    try:
        wrong = form.read(path, whole)
    except Exception as error:  # noqa: BLE001
        code = exit_code(error)
        text = message(error)
        if code in form.codes and text.strip() and len(text) < 4000:
            return Outcome("refused", text)
        return Outcome("traceback", f"exit code {code}\n{traceback.format_exc()}")
    return Outcome("wrong pass", wrong) if wrong else Outcome("read")


def changed_files(
    wholes: Sequence[Path], folder: Path, count: int, seed: str
) -> Iterator[tuple[Path, Path]]:
    """``count`` changed files and their whole originals; the files are written over each other."""
    generator = random.Random(seed)
    originals = [(path, path.read_bytes()) for path in wholes]
    for number in range(count):
        whole, data = originals[number % len(originals)]
        path = folder / f"changed{whole.suffix}"
        path.write_bytes(mutated(data, generator))
        yield path, whole
