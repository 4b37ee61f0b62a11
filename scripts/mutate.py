"""Changes whole files at random and looks at what devdiff makes of them, in child processes.

A child that gives no answer for half a minute hangs, one that ends was crashed by the file. What is
neither read nor refused in a sentence is kept in ``--keep``, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.comparison.intervals import clopper_pearson
from tests.support.file_formats import FORMATS, Format
from tests.support.outcomes import Outcome, changed_files, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]

_PATIENCE_S: Final = 30.0
_START_S: Final = 300.0
# A changed byte must not make a reader ask for more than any machine has.
_MEMORY: Final = 12 << 30
KINDS: Final = ("read", "refused", "traceback", "wrong pass", "hang", "crash")
WRONG: Final = KINDS[2:]


class Reader:
    """A child process that reads files of one format, started anew when a file ended it."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._child: subprocess.Popen[str] | None = None

    def look(self, path: Path, whole: Path) -> Outcome:
        if self._child is None:
            self._child = self._start()
            # Frameworks take their time to import; that is not the file's.
            first = self._ask(self._child, whole, whole, _START_S)
            if first.kind != "read":
                raise SystemExit(f"{whole}, which is whole, is not read: {first}")
        return self._ask(self._child, path, whole, _PATIENCE_S)

    def _ask(
        self, child: subprocess.Popen[str], path: Path, whole: Path, patience_s: float
    ) -> Outcome:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(f"{json.dumps([str(path), str(whole)])}\n")
            child.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            answered = selector.select(patience_s)
        line = child.stdout.readline() if answered else ""
        if line:
            return Outcome(**json.loads(line))
        self.end()
        if not answered:
            return Outcome("hang", f"no answer for {patience_s:g} s")
        return Outcome("crash", f"the reader ended with code {child.returncode}")

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__, "--read", self._form.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        )

    def end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


def read_here(name: str) -> None:
    """The child: paths come in, outcomes go out."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    (form,) = (entry for entry in FORMATS if entry.name == name)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what frameworks print is no answer
    if form.heavy:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    for line in sys.stdin:
        path, whole = map(Path, json.loads(line))
        found = asdict(outcome(form, path, whole))
        found["detail"] = found["detail"][:200] + "\n…\n" + found["detail"][-6000:]
        answers.write(json.dumps(found) + "\n")


def real_report(folder: Path) -> Path:
    """The report of a real run of the digits example, for more to change than a bare one has."""
    digits = ROOT / "examples/digits"
    subprocess.run(
        [
            *(sys.executable, "-m", "devdiff", "export-and-test", str(digits / "digits.onnx")),
            *("--inputs", str(digits / "heldout.npz"), "--preprocess", "scale=1/255"),
            *("--compress", "channel-prune:0.5+int8", "--device", "local"),
            *("--out", str(folder / "run")),
        ],
        env={**os.environ, "DEVDIFF_HISTORY": "off"},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    return folder / "run/report.json"


def shares(forms: list[Format], files: int) -> Iterator[tuple[Format, int]]:
    """How many of the files each format gets; frameworks read slowly and get a quarter as many."""
    weights = [0.25 if form.heavy else 1.0 for form in forms]
    for form, weight in zip(forms, weights, strict=True):
        yield form, max(1, round(files * weight / sum(weights)))


def main(arguments: argparse.Namespace) -> int:
    forms = [form for form in FORMATS if not arguments.only or form.name in arguments.only]
    table: dict[str, Counter[str]] = {}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="devdiff-mutate-") as scratch:
        folder = Path(scratch)
        os.environ["DEVDIFF_CACHE_DIR"] = str(folder / "cache")
        if any(form.name in ("report", "baseline") for form in forms):
            os.environ["DEVDIFF_MUTATE_REPORTS"] = str(real_report(folder))
        for place, (form, count) in enumerate(shares(forms, arguments.files)):
            table[form.name] = run(form, count, folder / str(place), arguments)
            print(row(form.name, table[form.name]), flush=True)
    total: Counter[str] = sum(table.values(), Counter())
    files = total.total()
    print(row("together", total))
    for kind in WRONG:
        low, high = clopper_pearson(total[kind], files, 0.95)
        print(f"{kind}: {total[kind]} of {files} (95 %: {100 * low:.3f} to {100 * high:.3f} %)")
    print(f"seed {arguments.seed}, {time.monotonic() - begun:.0f} s")
    return 1 if any(total[kind] for kind in WRONG) else 0


def run(form: Format, count: int, folder: Path, arguments: argparse.Namespace) -> Counter[str]:
    (folder / "whole").mkdir(parents=True)
    wholes = form.make(folder / "whole")
    seen: Counter[str] = Counter()
    reader = Reader(form)
    seed = f"{arguments.seed} {form.name}"
    try:
        for number, (path, whole) in enumerate(changed_files(wholes, folder, count, seed)):
            found = reader.look(path, whole)
            seen[found.kind] += 1
            if found.kind in WRONG:
                keep(arguments.keep, f"{form.name}-{number}", path, found)
    finally:
        reader.end()
    shutil.rmtree(folder)
    return seen


def keep(folder: Path, name: str, path: Path, found: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = name.replace(" ", "-")
    (folder / f"{name}.txt").write_text(f"{found.kind}\n{found.detail}\n")
    shutil.copyfile(path, folder / f"{name}{path.suffix}")


def row(name: str, seen: Counter[str]) -> str:
    figures: list[Any] = [name, seen.total(), *(seen[kind] for kind in KINDS)]
    return f"| {' | '.join(map(str, figures))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="FORMAT")
    parser.add_argument("--keep", type=Path, default=Path("mutated"))
    parser.add_argument("--read", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.read:
        read_here(chosen.read)
        raise SystemExit
    print("| format | files | read | refused | traces | wrong passes | hangs | crashes |")
    print(f"|{'---|' * 8}")
    raise SystemExit(main(chosen))
