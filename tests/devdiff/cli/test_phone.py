"""The main job on a real adb daemon: ``export-and-test MODEL --device emulator-5554``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command import DATA, DIGITS, devdiff
from phone_fixtures import AdbServer

from devdiff.report.build import schema
from device_runner.virtual.phone import VirtualPhone

pytestmark = pytest.mark.slow

StartPhone = Callable[..., VirtualPhone]


def report_on(phone: VirtualPhone, folder: Path, *options: str, **variables: str) -> dict[str, Any]:
    device = ("--device", phone.serial)
    done = devdiff("export-and-test", DIGITS, *DATA, *device, *options, "--json", cwd=folder,
                   env=variables)  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    assert done.returncode == report["exit_code"], done.stderr
    return report


def device_rung(report: dict[str, Any]) -> dict[str, Any]:
    return next(rung for rung in report["rungs"] if rung["name"] == "device")


def deployment(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(pair for pair in report["pairs"] if pair["step"] == "deployment")
    return found


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_the_shipped_model_agrees_on_the_phone_in_every_element(
    start_phone: StartPhone, tmp_path: Path, cpu: str
) -> None:
    phone = start_phone(cpu)
    report = report_on(phone, tmp_path)
    assert report["verdict"] == "pass"
    rung = device_rung(report)
    assert rung["identity"]["device"]["serial"] == phone.serial
    assert rung["identity"]["device"]["virtual"]
    assert rung["identity"]["runner"]["abi"] == "linux-aarch64"
    assert rung["about"]["arch"] == "aarch64"
    assert deployment(report)["comparison"]["outputs"][0]["differing_elements"] == 0


def test_other_kernels_on_the_phone_are_counted_as_steps_of_deployment(
    start_phone: StartPhone, tmp_path: Path
) -> None:
    report = report_on(start_phone(), tmp_path, "--delegate", "none", "--exact")
    assert report["verdict"] == "fail"
    assert report["attribution"]["step"] == "deployment"
    output = deployment(report)["comparison"]["outputs"][0]
    assert output["differing_elements"] > 0
    assert output["lsb"]["max_lsb"] >= 1
    assert device_rung(report)["about"]["delegate"] == "none"


def test_a_running_adb_server_keeps_the_phone_and_serves_it(
    start_phone: StartPhone, adb_server: AdbServer, tmp_path: Path
) -> None:
    phone = start_phone()
    adb_server.run("-s", phone.serial, "wait-for-device")
    report = report_on(phone, tmp_path, ANDROID_ADB_SERVER_PORT=str(adb_server.port))
    assert report["verdict"] == "pass"
    assert deployment(report)["comparison"]["outputs"][0]["differing_elements"] == 0
    assert phone.serial in adb_server.run("devices")


def test_a_phone_of_its_own_is_started_and_stopped(tmp_path: Path, phone_place: Path) -> None:
    done = devdiff("export-and-test", DIGITS, *DATA, "--device", "virtual:cortex-a72", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "timings say nothing about phones" in done.stdout
    listed = devdiff("virtual", "list", "--json", cwd=tmp_path)
    assert json.loads(listed.stdout) == []


def test_the_only_device_attached_is_taken_and_named(
    start_phone: StartPhone, tmp_path: Path
) -> None:
    phone = start_phone()
    done = devdiff(
        "export-and-test", DIGITS, *DATA, cwd=tmp_path, env={"ANDROID_SERIAL": phone.serial}
    )
    assert done.returncode == 0, done.stderr
    assert f"device: {phone.serial}" in done.stderr
    assert "named by ANDROID_SERIAL" in done.stderr
