"""The fixture ``devdiff`` in a test-suite of its own, run by a pytest of its own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from tests.support.command import DIGITS, HELDOUT

pytest_plugins = ["pytester"]

DATA = f'"{DIGITS}", inputs="{HELDOUT}", preprocess="scale=1/255"'


def outcomes(pytester: pytest.Pytester) -> dict[str, tuple[str, str]]:
    """Outcome and message of each test, as the JUnit file has it."""
    found = {}
    for case in ET.parse(pytester.path / "junit.xml").iter("testcase"):
        result = next(iter(case), None)
        told = "" if result is None else f"{result.get('message')}\n{result.text}"
        found[str(case.get("name"))] = ("passed" if result is None else result.tag, told)
    return found


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess(
        "--junitxml=junit.xml", "-p", "no:cacheprovider", *arguments
    )


def test_the_plugin_is_installed_and_loads_nothing_heavy() -> None:
    (point,) = [
        one for one in importlib.metadata.entry_points(group="pytest11") if one.name == "devdiff"
    ]
    assert point.value == "devdiff.gate.pytest_plugin"
    code = (
        "import sys, pytest; before = set(sys.modules); import devdiff.gate.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["devdiff", "devdiff.gate", "devdiff.gate.pytest_plugin"]


@pytest.mark.slow
def test_what_could_not_be_tested_is_an_error_in_one_line(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        f"""
        import pytest
        from devdiff.errors import UsageError

        def test_no_model(devdiff):
            devdiff.export_and_test("nothing.onnx").assert_passed()

        def test_no_phone(devdiff):
            devdiff.export_and_test({DATA}).assert_passed()

        def test_no_configuration(devdiff):
            devdiff.check("reader")

        def test_expected(devdiff):
            with pytest.raises(UsageError):
                devdiff.export_and_test("nothing.onnx")

        def test_of_the_users_own(devdiff):
            assert devdiff is None
        """,
        "--devdiff-device=127.0.0.1:1",
        "--devdiff-config=none.toml",
    )
    result.assert_outcomes(passed=1, failed=1, errors=3)
    found = outcomes(pytester)
    assert found["test_no_model"][0] == "error"
    assert "UsageError: nothing.onnx does not exist" in found["test_no_model"][1]
    assert found["test_no_phone"][0] == "error"
    assert "127.0.0.1:1: the device cannot be reached" in found["test_no_phone"][1]
    assert "none.toml: there is no such file" in found["test_no_configuration"][1]
    assert found["test_of_the_users_own"][0] == "failure"
    assert "DeviceLostError" in result.stdout.str()
    assert "device_runner/adb" not in result.stdout.str()


@pytest.mark.slow
def test_a_test_passes_fails_and_is_undecided_with_the_reason(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".toml",
        devdiff=f"""
        [models.digits]
        model = "{DIGITS}"
        inputs = "{HELDOUT}"
        preprocess = "scale=1/255"
        devices = "none"
        compressions = "prune:0.5"
        """,
    )
    runs = pytester.path / "kept"
    result = run(
        pytester,
        f"""
        import pytest
        from devdiff.verdict import Verdict

        @pytest.fixture(scope="module")
        def few(tmp_path_factory):
            import numpy as np
            path = tmp_path_factory.mktemp("few") / "few.npz"
            with np.load("{HELDOUT}") as data:
                np.savez(path, image=data["image"][:40], labels=data["labels"][:40])
            return path

        def test_passes(devdiff):
            result = devdiff.export_and_test({DATA}, device="local")
            result.assert_passed()
            assert result.verdict is Verdict.PASS
            assert result.agreement == 1.0
            assert result.step("deployment").agreed == 600
            assert result.report.inputs.samples == 600
            assert (result.directory / "report.html").exists()

        def test_undecided(devdiff, few):
            options = dict(inputs=few, preprocess="scale=1/255", device="none")
            result = devdiff.export_and_test("{DIGITS}", **options)
            result.assert_passed(allow_inconclusive=True)
            result.assert_passed()

        def test_check_fails(devdiff):
            devdiff.check("digits").assert_passed()
        """,
        f"--devdiff-runs={runs}",
    )
    result.assert_outcomes(passed=1, failed=2)
    found = outcomes(pytester)
    assert found["test_passes"] == ("passed", "")
    kind, told = found["test_undecided"]
    assert kind == "failure"
    assert "AssertionError: digits.onnx: inconclusive: 30 samples cannot decide the step" in told
    assert "with 95 % required: 30 samples cannot decide" in told
    kind, told = found["test_check_fails"]
    assert kind == "failure"
    assert "0 of 1 passed; 1 fail: digits/prune:0.5/none" in told
    assert "pruning (source → pruned): Output logits agrees on" in told
    assert f"report: {runs}" in told
    assert "devdiff/gate/pytest_api.py" not in result.stdout.str()
    assert len(list(runs.glob("*/report.json"))) == 2
    assert len(list(runs.glob("*/check.json"))) == 1
