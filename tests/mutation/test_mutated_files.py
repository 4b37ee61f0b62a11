"""A changed file is read or refused in a sentence: no trace, no hang, no pass that is wrong.

scripts/mutate does the same for as many files as are asked for, and for those that frameworks read.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner.pack import Header, PackTensor, encode_done, encode_header, encode_record
from tests.support.bare_reports import bare_report, with_pair
from tests.support.file_formats import FORMATS, Format
from tests.support.outcomes import changed_files, outcome
from tests.support.packages import MANIFEST, package, tflite
from tests.support.packages import report as shipped_report

if TYPE_CHECKING:
    from pathlib import Path

LIGHT = [form for form in FORMATS if not form.heavy]
# Packages are large, and slow to change.
FILES = {"apk": 15, "runtime apk": 15}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", LIGHT, ids=lambda form: form.name)
def test_every_changed_file_is_read_or_refused(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVDIFF_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "whole").mkdir()
    wholes = form.make(tmp_path / "whole")
    for whole in wholes:
        found = outcome(form, whole, whole)
        assert found.kind == "read", found.detail
    seen: Counter[str] = Counter()
    for path, whole in changed_files(
        wholes, tmp_path, FILES.get(form.name, 40), f"test {form.name}"
    ):
        found = outcome(form, path, whole)
        seen[found.kind] += 1
        assert found.kind in ("read", "refused"), found.detail
    # Both occur, or the changes were none, or nothing was looked at.
    assert seen["refused"] > 0


def test_a_wrong_pass_would_be_seen(tmp_path: Path) -> None:
    """The judges of what passes are themselves judged: by files that pass and should not."""
    by_name = {form.name: form for form in FORMATS}
    other = tflite(2)
    shipped_report(tmp_path / "report.json", {"source": b"onnx", "int8": other, "device": other})
    whole = package(tmp_path / "app.apk", MANIFEST | {"assets/a.tflite": other})
    assert outcome(by_name["apk"], whole, whole).kind == "wrong pass"
    (tmp_path / "fail.json").write_text(json.dumps(with_pair(bare_report(), "fail")))
    found = outcome(by_name["report"], tmp_path / "report.json", tmp_path / "fail.json")
    assert found.kind == "wrong pass"
    (pack,) = by_name["pack"].make(tmp_path)
    tensors = (PackTensor("y", "float32", (1,), "y"),)
    changed = tmp_path / "changed.pack"
    records = [encode_record(0, [np.zeros(1, np.float32)]), encode_done(1)]
    changed.write_bytes(b"".join([encode_header(Header({}, tensors)), *records]))
    assert outcome(by_name["pack"], changed, pack).kind == "wrong pass"
