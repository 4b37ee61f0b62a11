"""The main job on a real adb daemon: ``export-and-test MODEL --device emulator-5554``."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.device_store import ROOT, StoredFile
from devdiff.device_runner.runtimes import runtime
from devdiff.device_runner.virtual.phone import VirtualPhone
from tests.support.broken_runtime import ABI, broken_runtime
from tests.support.command import DATA, DIGITS, devdiff
from tests.support.schemas import report_schema
from tests.support.wire_proxy import Proxy, Spoil

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.phone_bench import Digits
    from tests.support.phone_fixtures import AdbServer

pytestmark = pytest.mark.slow

StartPhone = Callable[..., VirtualPhone]


def report_on(
    phone: VirtualPhone, folder: Path, *options: str, model: Path = DIGITS, **variables: str
) -> dict[str, Any]:
    device = ("--device", phone.serial)
    done = devdiff("export-and-test", model, *DATA, *device, *options, "--json", cwd=folder,
                   env=variables)  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(report, report_schema())
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
    kernels = ("--delegate", "none", "--host-runtime", "litert")
    report = report_on(start_phone(), tmp_path, *kernels, "--exact")
    assert report["verdict"] == "fail"
    assert report["attribution"]["step"] == "deployment"
    output = deployment(report)["comparison"]["outputs"][0]
    assert output["differing_elements"] > 0
    assert output["lsb"]["max_lsb"] >= 1
    assert device_rung(report)["about"]["delegate"] == "none"


def test_without_a_delegate_the_host_takes_the_same_kind_of_kernels(
    start_phone: StartPhone, tmp_path: Path
) -> None:
    device = ("--device", start_phone().serial)
    done = devdiff("export-and-test", DIGITS, *DATA, *device, "--delegate", "none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the host runs LiteRT's builtin kernels, too" in done.stderr
    (path,) = tmp_path.glob("devdiff-runs/*/report.json")
    report = json.loads(path.read_text())
    hosts = [rung for rung in report["rungs"] if rung["name"] in ("float", "int8")]
    assert [rung["runner"] for rung in hosts] == ["litert:builtin"] * 2
    assert report["options"]["running"]["host_runtimes"] == ["litert:builtin"]
    assert device_rung(report)["about"]["nodes_delegated"] == 0
    assert deployment(report)["comparison"]["outputs"][0]["lsb"]["max_lsb"] <= 1


def test_a_phone_that_dies_while_it_is_sent_to_is_gone_on_with(
    start_phone: StartPhone, tmp_path: Path
) -> None:
    phone = start_phone()
    # Behind three megabytes nothing more arrives, as if the phone had become very slow.
    proxy = Proxy(phone.port, up=Spoil(after=3 << 20, once=True))

    def die() -> None:
        proxy.spoiled.wait()
        phone.kill()

    death = threading.Thread(target=die)
    death.start()
    with contextlib.closing(proxy):
        command = ("export-and-test", DIGITS, *DATA, "--device", proxy.serial)
        done = devdiff(*command, cwd=tmp_path)
        death.join()
        assert done.returncode == 3, done.stderr
        assert f"device: {proxy.serial}: the connection to the device is lost" in done.stderr
        assert "0 of 600 samples are kept: run the same command again to continue" in done.stderr
        proxy.target = start_phone().port
        done = devdiff(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "continuing the unfinished run" in done.stderr
    (path,) = tmp_path.glob("devdiff-runs/*/report.json")
    report = json.loads(path.read_text())
    assert report["verdict"] == "pass"
    assert deployment(report)["comparison"]["outputs"][0]["differing_elements"] == 0


def test_a_sample_that_kills_the_runner_is_named_and_passed_over_on_request(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone, bad = start_phone(), 23
    with devices.connect(devices.resolve(phone.serial, {})) as device:
        real = StoredFile.of(runtime.for_device(ABI).path)
        device.shell(f"mkdir -p {ROOT}/store")
        device.push(real.path, real.remote)
    library = broken_runtime(tmp_path, digits.encoded(bad), "crash")
    options = ("--source", str(DIGITS), "--runtime", str(library))
    report = report_on(phone, tmp_path, *options, model=digits.artifact.path)
    assert report["exit_code"] == 3
    assert f"SIGSEGV at sample {bad} of" in device_rung(report)["error"]
    assert "--keep-going" in device_rung(report)["error"]

    report = report_on(phone, tmp_path, *options, "--keep-going", model=digits.artifact.path)
    assert report["verdict"] == "error"
    assert device_rung(report)["failed"] == 1
    found = deployment(report)["comparison"]
    assert [(one["sample"], one["status"]) for one in found["failures"]] == [(bad, "crashed")]
    assert found["compared"] == found["samples"] - 1
    assert found["outputs"][0]["differing_elements"] == 0


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


def test_a_run_on_a_phone_is_kept_as_one_on_the_host_is(
    start_phone: StartPhone, digits: Digits, tmp_path: Path
) -> None:
    phone, model = start_phone(), digits.artifact.path
    for name, place in (("host", ()), ("phone", ("--device", phone.serial))):
        done = devdiff("run", model, *DATA, *place, "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "phone/run.json").read_text())
    assert record["rung"]["identity"]["device"]["serial"] == phone.serial
    assert record["rung"]["samples"] == 800
    done = devdiff("diff", "host", "phone", "--exact", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    judged = json.loads(done.stdout)
    assert judged["step"] == "deployment"
    assert judged["comparison"]["outputs"][0]["differing_elements"] == 0

    # A phone that is gone is an error, and leaves nothing that could be compared.
    phone.kill()
    done = devdiff(
        *("run", model, *DATA, "--device", phone.serial, "--out", "gone", "--json"), cwd=tmp_path
    )
    assert done.returncode in (2, 3)
    assert json.loads(done.stdout)["verdict"] == "error"
    assert not (tmp_path / "gone/run.json").exists()
