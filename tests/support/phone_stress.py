"""Rounds of bad luck on a virtual phone, each of them decided by a seed.

A round runs the digits model on a phone of its own, behind a proxy, while connections are cut,
packets damaged, and runner, daemon, phone, or this very process killed or stopped. Whatever
happened, it ends with the host's answers or an error devdiff means; what was kept until then is
right; and once the phone is well again the same run comes to its end and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from devdiff.cli.failures import INFRASTRUCTURE, exit_code
from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.adb_runner import RemoteOptions, RemoteRunner
from devdiff.device_runner.adb.device_store import ROOT
from devdiff.device_runner.errors import DeviceError, VirtualPhoneError
from devdiff.device_runner.pack import read_header, read_record
from devdiff.device_runner.results import last_good
from devdiff.device_runner.virtual import phone
from devdiff.device_runner.virtual.phone import VirtualPhone
from devdiff.device_runner.virtual.probe import ProbeReply
from tests.support.phone_bench import Digits, run, shell
from tests.support.wire_proxy import Message, Proxy, Spoil

SAMPLES: Final = 300
TIMEOUT_S: Final = 3.0
# A clean round's connecting, sending and running, of which the first two take most.
_SPAN_S: Final = 3.0
# More than all waits and tries of a run together: behind it, a round counts as hung.
_LONGEST_S: Final = 240.0
_RECOVERY_S: Final = 60.0
_LARGE_PACKET: Final = 1000
_FILL: Final = "/data/local/tmp/filled"
_LEFT: Final = f"""\
for run in {ROOT}/runs/*; do [ -e "$run" ] && echo "run folder $run"; done
for file in {ROOT}/store/*; do
  [ -e "$file" ] || continue
  sum=$(sha256sum < "$file")
  [ "${{sum%% *}}" = "${{file##*/}}" ] || ls -l "$file"
done
for process in /proc/[0-9]*; do
  tr '\\0' ' ' < $process/cmdline | grep -q '^[^ ]*devdif[f]/store' && echo "process $process"
done 2>/dev/null
true
"""


class ViolationError(AssertionError):
    """Something happened that no bad luck excuses."""


@dataclass(frozen=True)
class Fault:
    """``act`` happens ``delay`` seconds after the beginning, or with sample ``at``."""

    name: str
    act: Callable[[], None]
    delay: float | None = None
    at: int | None = None

    def __str__(self) -> str:
        when = f"after {self.delay:.2f} s" if self.delay is not None else f"at sample {self.at}"
        return f"{self.name} {when}"


@dataclass
class Scene:
    """A phone behind a proxy, and what can be done to both."""

    luck: random.Random
    phone: VirtualPhone
    proxy: Proxy
    up: Spoil
    down: Spoil
    timers: list[threading.Timer] = field(default_factory=list)
    mended: bool = False

    @property
    def runner(self) -> RemoteRunner:
        chunk = self.luck.choice([64 << 20, 60_000, 150_000])
        return RemoteRunner(
            devices.resolve(self.proxy.serial, {}),
            RemoteOptions(chunk_bytes=chunk, silence_s=TIMEOUT_S),
        )

    def faults(self) -> list[Fault]:
        """One to three, of any kinds."""
        kinds = (
            *(self.cut, self.cut_behind, self.damage, self.kill_runner, self.kill_daemon),
            *(self.power_off, self.hang, self.fill),
        )
        return [self._sometime(self.luck.choice(kinds)()) for _ in range(self.luck.randint(1, 3))]

    def _sometime(self, fault: Fault) -> Fault:
        if fault.delay is not None:
            return fault
        if self.luck.random() < 0.5:
            return Fault(fault.name, fault.act, delay=self.luck.uniform(0, _SPAN_S))
        return Fault(fault.name, fault.act, at=self.luck.randrange(SAMPLES))

    def cut(self) -> Fault:
        return Fault("cut", self.proxy.cut)

    def cut_behind(self) -> Fault:
        """Cut to the byte, in one direction."""
        size = int(10 ** self.luck.uniform(1, 7))
        spoil, way = self.luck.choice([(self.up, "up"), (self.down, "down")])
        spoil.after, spoil.cut, spoil.once = size, True, True
        return Fault(f"cut behind {size} bytes {way}", lambda: None, delay=0.0)

    def damage(self) -> Fault:
        """Another bit in a large packet, of which there are some in each direction."""
        spoil, way = self.luck.choice([(self.up, "up"), (self.down, "down")])
        number, place, bit = self.luck.randrange(12), self.luck.random(), self.luck.randrange(8)
        seen = 0

        def edit(message: Message) -> Message:
            nonlocal seen
            if message.command != b"WRTE" or len(message.data) < _LARGE_PACKET or self.mended:
                return message
            seen += 1
            if seen != number + 1:
                return message
            data = bytearray(message.data)
            data[int(place * len(data))] ^= 1 << bit
            return message._replace(data=bytes(data))

        spoil.edit = edit
        return Fault(f"bit {bit} of large packet {number} {way}", lambda: None, delay=0.0)

    def kill_runner(self) -> Fault:
        return Fault("runner killed", self._shelling(f"kill -9 $(cat {ROOT}/runs/*/pid)"))

    def kill_daemon(self) -> Fault:
        return Fault("adbd killed", self._shelling("kill -9 $(pidof adbd)"))

    def fill(self) -> Fault:
        return Fault("storage filled", self._shelling(f"dd if=/dev/zero of={_FILL} bs=1M"))

    def _shelling(self, command: str) -> Callable[[], None]:
        def act() -> None:
            with contextlib.suppress(DeviceError):
                shell(self.phone, command)

        return act

    def power_off(self) -> Fault:
        wait = self._wait()

        def act() -> None:
            self.phone.kill()
            self._later(wait, self.mend)

        return Fault(f"power off for {wait} s", act)

    def hang(self) -> Fault:
        wait = self._wait()

        def act() -> None:
            with contextlib.suppress(VirtualPhoneError):
                self.phone.pause()
            self._later(wait, self.mend)

        return Fault(f"hang for {wait} s", act)

    def _wait(self) -> float | None:
        """Seconds, or None for longer than the run."""
        return None if self.luck.random() < 0.15 else round(self.luck.uniform(0, 8), 1)

    def _later(self, wait: float | None, act: Callable[[], None]) -> None:
        if wait is not None:
            self.timers.append(threading.Timer(wait, act))
            self.timers[-1].start()

    def mend(self) -> None:
        """Bring the phone back, a new one in its place if need be."""
        if self.phone.alive:
            with contextlib.suppress(VirtualPhoneError):
                self.phone.resume()
            return
        old, record = self.phone, self.phone.record
        self.phone = phone.start(record.cpu, storage_mib=record.storage_mib)
        self.proxy.target = self.phone.port
        old.stop()

    def all_well(self) -> None:
        """No more bad luck from here on."""
        for timer in self.timers:
            timer.cancel()
            timer.join()
        self.mended = True
        self.up.after = self.down.after = None
        self.mend()
        end = time.monotonic() + _RECOVERY_S
        while self.phone.answer() is not ProbeReply.READY:
            if time.monotonic() > end:
                raise ViolationError(f"{self.phone.serial} does not recover")
        shell(self.phone, f"rm -f {_FILL}")


@contextlib.contextmanager
def _scene(luck: random.Random) -> Iterator[Scene]:
    cpu = luck.choice(["cortex-a53", "cortex-a76"])
    started = phone.start(cpu, storage_mib=96)
    up, down = Spoil(), Spoil()
    proxy = Proxy(started.port, up, down)
    scene = Scene(luck, started, proxy, up, down)
    try:
        yield scene
    finally:
        for timer in scene.timers:
            timer.cancel()
            timer.join()
        proxy.close()
        scene.phone.stop()
        # Clears away what a killed process had started.
        phone.running()


def play(seed: int, digits: Digits) -> tuple[str, str]:
    """One round: what happened, and how the run took it. Raises `ViolationError`."""
    luck = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="stress-") as name, _scene(luck) as scene:
        folder = Path(name)
        faults = scene.faults()
        killed = luck.uniform(0, _SPAN_S) if luck.random() < 0.15 else None
        story = ", ".join(map(str, faults))
        try:
            if killed is None:
                outcome = _outcome(scene, faults, digits, folder)
            else:
                story += f", devdiff killed after {killed:.2f} s"
                outcome = _killed(scene, faults, digits, folder, killed)
            _check_kept(digits, folder)
            scene.all_well()
            if outcome == "right":
                (folder / "results.pack").unlink()
            _end_well(scene, digits, folder)
        except Exception as error:
            raise ViolationError(f"seed {seed} ({story}): {error}") from error
        return story, outcome


def _outcome(scene: Scene, faults: Sequence[Fault], digits: Digits, folder: Path) -> str:
    """Run under the faults: ``right``, or the error that was meant."""
    begun = time.monotonic()
    try:
        with _happening(faults) as progress:
            run(scene.runner, digits.job(folder, SAMPLES, TIMEOUT_S), progress)
    except Exception as error:
        if exit_code(error) != INFRASTRUCTURE:
            raise ViolationError(f"not an error of the device's: {error!r}") from error
        if not str(error).strip():
            raise ViolationError(f"an error without words: {error!r}") from error
        outcome = f"{type(error).__name__}: {error}"
    else:
        digits.check(folder, SAMPLES)
        outcome = "right"
    if time.monotonic() - begun > _LONGEST_S:
        raise ViolationError(f"it took {time.monotonic() - begun:.0f} s to end: {outcome}")
    return outcome


def _killed(
    scene: Scene, faults: Sequence[Fault], digits: Digits, folder: Path, moment: float
) -> str:
    """The same in a process that is killed in the middle of it."""

    def child() -> None:
        with contextlib.suppress(Exception), _happening(faults) as progress:
            run(scene.runner, digits.job(folder, SAMPLES, TIMEOUT_S), progress)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(moment)
    process.kill()
    process.join()
    done = process.exitcode != -signal.SIGKILL
    return "ended before it was killed" if done else "killed"


@contextlib.contextmanager
def _happening(faults: Sequence[Fault]) -> Iterator[Callable[[int], None]]:
    """Lets the faults happen at their times; gives the listener that tells it of samples."""
    timers = [threading.Timer(f.delay, f.act) for f in faults if f.delay is not None]
    waiting = [fault for fault in faults if fault.at is not None]

    def progress(done: int) -> None:
        for fault in [one for one in waiting if one.at is not None and done > one.at]:
            waiting.remove(fault)
            fault.act()

    for timer in timers:
        timer.start()
    try:
        yield progress
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()


def _check_kept(digits: Digits, folder: Path) -> None:
    """What a run that ended early kept is right as far as it goes."""
    pack = folder / "results.pack"
    good = last_good(pack) if pack.exists() else None
    if good is None or not good.end:
        return
    with pack.open("rb") as stream:
        tensors = read_header(stream).tensors
        kept = [read_record(stream, tensors) for _ in range(good.samples)]
    for record, answer in zip(kept, digits.answers, strict=False):
        if isinstance(record, int) or record.arrays[0].tobytes() != answer:
            raise ViolationError(f"of {len(kept)} answers that were kept some are wrong: {record}")


def _end_well(scene: Scene, digits: Digits, folder: Path) -> None:
    """The same run again, undisturbed."""
    try:
        run(scene.runner, digits.job(folder, SAMPLES))
        digits.check(folder, SAMPLES)
    except Exception as error:
        raise ViolationError(f"the undisturbed run behind it fails: {error!r}") from error
    left = shell(scene.phone, _LEFT).strip()
    if left:
        raise ViolationError(f"left on the phone: {left}")
