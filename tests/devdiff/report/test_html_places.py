"""A page that is mailed tells nothing of the folders of the machine it was made on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devdiff.report.html import page
from devdiff.report.html.places import Shortener
from tests.support.bare_reports import bare_report, typed

SECRET = "/projects/anna/unreleased"
TENSOR = "/model.22/cv2/Conv_output_0"


def report(**more: Any) -> dict[str, Any]:
    data = bare_report(**more)
    data["command"] = ["export-and-test", f"{SECRET}/m.onnx", "--inputs", f"{SECRET}/photos"]
    data["inputs"] = data["inputs"] | {"origin": f"{SECRET}/photos", "synthetic": False}
    data["rungs"][0]["identity"] = {"runner": {"sha256": "0" * 64, "path": f"{SECRET}/bin/runner"}}
    data["rungs"][0]["error"] = f"{Path.home()}/.cache/x.so: no such file ({SECRET}/photos)"
    return data


def test_no_path_of_the_machine_is_on_the_page(tmp_path: Path) -> None:
    html = page.render(typed(report()), tmp_path)
    assert SECRET not in html
    assert str(Path.home()) + "/" not in html
    assert str(tmp_path) not in html
    assert "export-and-test m.onnx --inputs photos" in html
    assert "x.so: no such file (photos)" in html


def test_names_of_tensors_stay_as_they_are() -> None:
    data = report()
    data["command"] += ["--classifier", TENSOR]
    data["bindings"] = [
        {
            "file": "int8.tflite",
            "by": "name",
            "reason": "",
            "inputs": [],
            "outputs": [{"source": TENSOR, "artifact": "y", "axes": [0]}],
        }
    ]
    shorten = Shortener(typed(data), None)
    assert shorten(f"--classifier {TENSOR}") == f"--classifier {TENSOR}"
    assert shorten("/features/0/Relu is off by 3 LSB") == "/features/0/Relu is off by 3 LSB"
    assert shorten(f"of {SECRET}/photos, seed 0") == "of photos, seed 0"
    assert shorten("a/b and 3/4 stay") == "a/b and 3/4 stay"
