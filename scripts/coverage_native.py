"""Lines and branches of the native runner that tests execute; see scripts/coverage_native.

The tests run as always, but find in their cache, in place of this machine's runner, one that
counts. Its counters lie in a mapped file: a runner that is killed or crashes has counted, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from devdiff.android_harness.build import EXECUTABLE, PREBUILT, build_key, source_files
from devdiff.system.cache import cache_root
from devdiff.system.exit_code import ExitCode
from tests.support.clang import compile_with_clang, llvm_tool, missing_clang
from tests.support.pack_judges import FUZZ, trapping_directory

ABI: Final = "linux-x86_64"
# They look at the files of builds, or run those for other machines.
UNCOUNTED: Final = (
    "foreign_runner",
    "native_fuzzing",
    "runner_build",
    "runner_elf",
    "shipped_runners",
)


def build(work: Path) -> Path:
    """The counting runner, in the places of a cache where the tests look for one."""
    for name in ("cache", "raw", "html"):
        shutil.rmtree(work / name, ignore_errors=True)
    cache, real = work / "cache", cache_root()
    own = ("runners", "test-runners")
    for name in own:
        (cache / name).mkdir(parents=True)
    for name in ("runners", "models", "runtimes", "test-models", "tests", "virtual", "zig"):
        (real / name).mkdir(parents=True, exist_ok=True)
    for kept in real.iterdir():
        if kept.name not in own:
            (cache / kept.name).symlink_to(kept)
    runner = cache / "runners" / build_key(ABI) / EXECUTABLE
    for kept in (real / "runners").iterdir():
        if kept.is_dir() and kept.name != runner.parent.name:
            (cache / "runners" / kept.name).symlink_to(kept)
    trapping = cache / "test-runners" / trapping_directory().name
    for folder in (runner.parent, trapping):
        folder.mkdir()
    flags = (
        "-O1",
        f"-fprofile-instr-generate={work}/raw/%c%m.profraw",
        "-fcoverage-mapping",
        *("-mllvm", "-runtime-counter-relocation"),
    )
    compile_with_clang(source_files(), runner, *flags)
    shutil.copy(runner, trapping / "runner")
    parser = [path for path in source_files() if path.stem not in ("main", "run")]
    compile_with_clang((*parser, FUZZ), trapping / "fuzz", "-DFUZZ_STANDALONE")
    return runner


def table(work: Path, runner: Path) -> str:
    """Covered lines and branches by file, as Markdown."""
    profile = work / "merged.profdata"
    raw = [str(path) for path in (work / "raw").glob("*.profraw")]
    merge = [str(llvm_tool("llvm-profdata")), "merge", "-sparse", *raw, "-o", str(profile)]
    subprocess.run(merge, check=True)
    counted = (str(runner), f"-instr-profile={profile}")
    cov = str(llvm_tool("llvm-cov"))
    html = [cov, "show", *counted, "-format=html", f"-output-dir={work / 'html'}"]
    subprocess.run(html, check=True, stdout=subprocess.DEVNULL)
    export = [cov, "export", *counted, "-summary-only"]
    (data,) = json.loads(subprocess.run(export, check=True, capture_output=True).stdout)["data"]
    rows = [(Path(file["filename"]).name, file["summary"]) for file in data["files"]]
    rows = sorted((row for row in rows if row[1]["lines"]["count"]), key=lambda row: row[0])
    rows.append(("**all**", data["totals"]))
    lines = ["| File | Lines | | Branches | |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, summary in rows:
        cells = [name]
        for kind in ("lines", "branches"):
            count, covered = summary[kind]["count"], summary[kind]["covered"]
            share = f"{covered / count:.0%}" if count else ""
            cells += [f"{covered} of {count}", share]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/coverage_native", allow_abbrev=False)
    default = Path("build/coverage-native")
    parser.add_argument("--work", type=Path, default=default, help="where everything is kept")
    options, words = parser.parse_known_args()
    work = options.work.absolute()
    reason = missing_clang()
    if (PREBUILT / ABI / build_key(ABI)).is_dir():
        reason = f"the runners in {PREBUILT} would be run instead; remove that folder"
    if reason:
        print(f"coverage_native: {reason}")
        return ExitCode.ERROR
    runner = build(work)
    environment = {**os.environ, "DEVDIFF_CACHE_DIR": str(work / "cache")}
    without = (f"--ignore=tests/android_harness/test_{name}.py" for name in UNCOUNTED)
    words = words or ["-q", "tests/android_harness", *without]
    tests = subprocess.run([sys.executable, "-m", "pytest", *words], env=environment, check=False)
    print(table(work, runner))
    if tests.returncode:
        print("coverage_native: the tests did not pass, so that the figures may be too low")
    return tests.returncode


if __name__ == "__main__":
    raise SystemExit(main())
