"""The digits model on a phone, with the host's answers to hold the phone's against."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.adb_runner import RemoteOptions, RemoteRunner
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.device_runner.pack import PackSample, PackTensor, read_header
from devdiff.device_runner.runner import Job, Outcome
from devdiff.exporter.artifact import Artifact
from tests.support.exporting import export_digits
from tests.support.pack_records import read_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devdiff.device_runner.virtual.phone import VirtualPhone
    from tests.support.wire_proxy import Proxy

SAMPLES = 600


@dataclass(frozen=True)
class Digits:
    """The digits model, its samples (over and over), and the host's answers to them."""

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

    def encoded(self, index: int) -> bytes:
        """A sample's bytes as the model takes them."""
        (binding,) = self.artifact.inputs
        return binding.encode(self.images[index % len(self.images)]).tobytes()

    def check(self, folder: Path, samples: int = SAMPLES) -> None:
        """Every answer is the host's."""
        answers = itertools.islice(itertools.cycle(self.answers), samples)
        assert [r.arrays[0].tobytes() for r in records(folder)] == list(answers)


def records(folder: Path) -> list[PackSample]:
    with (folder / "results.pack").open("rb") as stream:
        return list(read_records(stream, read_header(stream).tensors))


def make_digits(folder: Path) -> Digits:
    """Export the model into ``folder`` and ask the host."""
    exported, images = export_digits(folder)
    made = Digits(exported.manifest.artifact(exported.folder, "int8"), images, [])
    HostRunner().run(made.job(folder, len(images)), lambda done: None)
    return replace(made, answers=[r.arrays[0].tobytes() for r in records(folder)])


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return make_digits(tmp_path_factory.mktemp("digits"))


def runner(phone: VirtualPhone | Proxy, **options: object) -> RemoteRunner:
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
