"""Runs on a phone survive what phones do; no answer is ever wrong because of it.

The phone is a real adb daemon on an emulated ARM64 machine. Whatever happens, the results are
those of the host, bit for bit, or the run stops and says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from exporting import export_digits

from device_runner import devices
from device_runner.errors import RunnerError, TransferError
from device_runner.host import HostRunner
from device_runner.pack import PackTensor, Record, read_header, read_records
from device_runner.remote import RemoteOptions, RemoteRunner
from device_runner.runner import Job, Outcome
from device_runner.store import ROOT
from device_runner.virtual.phone import VirtualPhone
from exporter.artifact import Artifact

pytestmark = pytest.mark.slow

SAMPLES = 600
StartPhone = Callable[..., VirtualPhone]


@dataclass(frozen=True)
class Bench:
    """The digits model, its samples as the model takes them, and the host's answers."""

    artifact: Artifact
    images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    answers: list[bytes]

    def job(self, folder: Path, samples: int = SAMPLES, timeout_s: float = 60) -> Job:
        (binding,) = self.artifact.inputs
        return Job(
            model=self.artifact.path,
            tensors=(PackTensor.of(binding.artifact, binding.signature_name),),
            samples=samples,
            encode=lambda index: [binding.encode(self.images[index % len(self.images)])],
            results=folder / "results.pack",
            log=folder / "log.txt",
            timeout_s=timeout_s,
        )

    def check(self, folder: Path, samples: int = SAMPLES) -> None:
        """Every answer is the host's."""
        found = records(folder)
        assert len(found) == samples
        assert [r.arrays[0].tobytes() for r in found] == self.answers[:samples]


def records(folder: Path) -> list[Record]:
    with (folder / "results.pack").open("rb") as stream:
        return list(read_records(stream, read_header(stream).tensors))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("remote")
    exported, images = export_digits(folder)
    made = Bench(exported.manifest.artifact(exported.folder, "int8"), images, [])
    HostRunner().run(made.job(folder), lambda done: None)
    return replace(made, answers=[r.arrays[0].tobytes() for r in records(folder)])


def runner(phone: VirtualPhone, **options: object) -> RemoteRunner:
    chosen = RemoteOptions(**options)  # type: ignore[arg-type]
    return RemoteRunner(devices.resolve(phone.serial, {}), chosen)


def run(
    remote: RemoteRunner, job: Job, progress: Callable[[int], None] = lambda done: None
) -> Outcome:
    try:
        return remote.run(job, progress)
    finally:
        remote.close()


def shell(phone: VirtualPhone, command: str) -> str:
    with devices.connect(devices.resolve(phone.serial, {})) as transport:
        done = transport.shell(command)
    return done.stdout.decode()


def once(at: int, act: Callable[[], None]) -> Callable[[int], None]:
    """A progress listener that acts the first time ``at`` samples are done."""
    acted = False

    def progress(done: int) -> None:
        nonlocal acted
        if done >= at and not acted:
            acted = True
            act()

    return progress


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_the_phone_answers_as_the_host_does(
    start_phone: StartPhone, bench: Bench, tmp_path: Path, cpu: str
) -> None:
    phone = start_phone(cpu)
    outcome = run(runner(phone), bench.job(tmp_path))
    bench.check(tmp_path)
    assert outcome.about["arch"] == "aarch64"
    assert outcome.about["delegate"] == "xnnpack"
    assert shell(phone, f"ls {ROOT}/runs") == ""


def test_a_second_run_sends_nothing(start_phone: StartPhone, bench: Bench, tmp_path: Path) -> None:
    phone = start_phone()
    first = run(runner(phone), bench.job(tmp_path))
    assert first.about["sent_bytes"] > 1 << 20
    (tmp_path / "results.pack").unlink()
    second = run(runner(phone), bench.job(tmp_path))
    assert second.about["sent_bytes"] == 0
    bench.check(tmp_path)


def test_inputs_go_in_chunks_where_they_must(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    outcome = run(runner(start_phone(), chunk_bytes=100_000), bench.job(tmp_path))
    bench.check(tmp_path)
    assert outcome.about["sent_bytes"] > SAMPLES * 784


def test_a_stored_file_that_was_changed_is_sent_again(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()
    run(runner(phone), bench.job(tmp_path, samples=5))
    model = f"{ROOT}/store/{bench.artifact.sha256}"
    shell(phone, f"printf x | dd of={model} bs=1 seek=9000 conv=notrunc 2>/dev/null")
    (tmp_path / "results.pack").unlink()
    outcome = run(runner(phone), bench.job(tmp_path, samples=5))
    assert outcome.about["sent_bytes"] == bench.artifact.path.stat().st_size
    bench.check(tmp_path, samples=5)


def test_a_phone_that_dies_and_comes_back_empty_is_gone_on_with(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()

    def reboot() -> None:
        phone.kill()
        assert start_phone().serial == phone.serial

    run(runner(phone), bench.job(tmp_path), once(200, reboot))
    bench.check(tmp_path)


def test_a_phone_that_dies_for_good_keeps_what_was_measured(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()
    with pytest.raises(RunnerError, match=r"samples are kept: run the same command again"):
        run(runner(phone), bench.job(tmp_path), once(200, phone.kill))
    again = start_phone()
    outcome = run(runner(again), bench.job(tmp_path))
    assert outcome.resumed >= 200
    bench.check(tmp_path)


def test_a_killed_adb_daemon_comes_back(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()

    def kill_adbd() -> None:
        with pytest.raises(Exception, match=phone.serial):
            shell(phone, "kill -9 $(pidof adbd); sleep 5")

    run(runner(phone), bench.job(tmp_path), once(200, kill_adbd))
    bench.check(tmp_path)


def test_a_killed_runner_is_started_again(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()

    def kill_runner() -> None:
        shell(phone, f"kill -9 $(cat {ROOT}/runs/*/pid)")

    run(runner(phone), bench.job(tmp_path), once(200, kill_runner))
    bench.check(tmp_path)


def test_a_phone_that_hangs_for_a_while_is_waited_for(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()
    timers = []

    def hang() -> None:
        phone.pause()
        timers.append(threading.Timer(6, phone.resume))
        timers[0].start()

    run(runner(phone), bench.job(tmp_path, timeout_s=3), once(200, hang))
    timers[0].join()
    bench.check(tmp_path)


def test_a_full_phone_says_how_much_is_missing(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone(storage_mib=4)
    with pytest.raises(TransferError, match=r"MB are needed .* MB are free"):
        run(runner(phone), bench.job(tmp_path))
    assert "partial" not in shell(phone, f"ls {ROOT}/store")


def test_the_store_keeps_to_its_budget(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()
    run(runner(phone), bench.job(tmp_path, samples=5))
    stale = "0" * 64
    shell(phone, f"dd if=/dev/zero of={ROOT}/store/{stale} bs=1M count=20; "
                 f"touch -t 200001010000 {ROOT}/store/{stale}")  # fmt: skip
    (tmp_path / "results.pack").unlink()
    run(runner(phone, budget=16 << 20), bench.job(tmp_path, samples=6))
    left = shell(phone, f"ls {ROOT}/store").split()
    assert stale not in left
    assert bench.artifact.sha256 in left


def test_two_runs_on_one_phone_queue(start_phone: StartPhone, bench: Bench, tmp_path: Path) -> None:
    phone = start_phone()
    failures: list[BaseException] = []
    waited: list[str] = []

    def one(name: str) -> None:
        try:
            (tmp_path / name).mkdir()
            address = devices.resolve(phone.serial, {})
            remote = RemoteRunner(address, RemoteOptions(), waited.append)
            run(remote, bench.job(tmp_path / name, samples=200))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(waited) == 1
    for name in ("a", "b"):
        bench.check(tmp_path / name, samples=200)


def test_what_a_dead_run_left_is_swept(
    start_phone: StartPhone, bench: Bench, tmp_path: Path
) -> None:
    phone = start_phone()
    remote = runner(phone)
    remote.identity()
    assert len(shell(phone, f"ls {ROOT}/runs").split()) == 1
    # As if this process had been killed: the connection and the lock go, the run folder stays.
    remote._disconnect()
    remote._open.close()
    run(runner(phone), bench.job(tmp_path, samples=5))
    assert shell(phone, f"ls {ROOT}/runs") == ""
