"""What a device is: asked in one round trip, read here."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from devdiff.device_runner.errors import DeviceError

if TYPE_CHECKING:
    from devdiff.device_runner.adb.transport import Transport

STORAGE: Final = "/data/local/tmp"

# Both ways to ask for free space: the toolbox of Android 6 knows no `df -k`, others no `stat -f`.
_FREE: Final = "stat -f -c '=%a %S' {path} 2>/dev/null; df -k {path} 2>/dev/null"
_SCRIPT: Final = (
    "echo @properties; getprop 2>/dev/null; "
    "echo @machine; uname -m; uname -r; "
    f"echo @free; {_FREE.format(path=STORAGE)}; "
    "echo @cpu; cat /proc/cpuinfo; "
    "echo @end"
)
_SECTION: Final = re.compile(r"^@(\w+)$", re.MULTILINE)
_PROPERTY: Final = re.compile(r"^\[([^\]]+)\]: \[(.*)\]\r?$", re.MULTILINE)
_ANDROID: Final = {abi: f"android-{abi}" for abi in ("arm64-v8a", "armeabi-v7a", "x86_64")}
_LINUX: Final = {
    "aarch64": "linux-aarch64",
    "arm64": "linux-aarch64",
    "x86_64": "linux-x86_64",
}
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

# From the kernel's list of implementers and parts (arch/arm64/include/asm/cputype.h).
_ARM_CORES: Final = {
    0xC07: "Cortex-A7",
    0xC0F: "Cortex-A15",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3",
    0xD80: "Cortex-A520",
    0xD81: "Cortex-A720",
    0xD82: "Cortex-X4",
}


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What is known of a device.

    ``release`` and ``api`` are Android's, None where it is no Android; ``free_bytes`` is what
    `STORAGE` has left, None where it does not exist. ``cores`` counts CPU cores by kind.
    ``virtual`` is devdiff's own virtual phone, which counts as an emulator too.
    """

    serial: str
    platform: Literal["android", "linux"]
    model: str
    release: str | None
    api: int | None
    abis: tuple[str, ...]
    soc: str | None
    cores: Mapping[str, int]
    cpu_features: tuple[str, ...]
    machine: str
    kernel: str
    free_bytes: int | None
    emulator: bool
    virtual: bool
    runs: str | None

    @property
    def runner_abi(self) -> str:
        """The build of the native runner for it. Raises `DeviceError` when there is none."""
        if self.runs is None:
            cpu = ", ".join(self.abis) or self.machine or "an unknown CPU"
            known = ", ".join((*_ANDROID.values(), *dict.fromkeys(_LINUX.values())))
            raise DeviceError(
                f"{self.serial}: there is no native runner for {self.platform} on {cpu}; there "
                f"is one for {known}"
            )
        return self.runs

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        fields["runner_abi"] = fields.pop("runs")
        return fields

    def title(self) -> str:
        """One line for people: ``Pixel 7, Android 14 (API 34)``."""
        if self.platform == "android":
            return f"{self.model or 'a phone'}, Android {self.release} (API {self.api})"
        return f"{self.model or 'a computer'}, Linux {self.kernel}"


def describe(transport: Transport) -> DeviceFacts:
    """Ask a device what it is. Raises `DeviceError`."""
    done = transport.shell(_SCRIPT)
    text = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    if "\n@end" not in text:
        output = (done.stderr or done.stdout)[-200:].decode(errors="replace").strip()
        raise DeviceError(f"{transport.serial}: its shell does not work: {output or done.code}")
    return read(transport.serial, text)


def read(serial: str, text: str) -> DeviceFacts:
    """The facts in what the device's shell printed."""
    sections = dict(_sections(text))
    properties = dict(_PROPERTY.findall(sections.get("properties", "")))
    machine, _, kernel = sections.get("machine", "").strip().partition("\n")
    cpu = sections.get("cpu", "")
    api = properties.get("ro.build.version.sdk", "")
    android = api.isdigit()
    listed = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    abis = tuple(abi for abi in listed.split(",") if abi)
    if android:
        runs = next((_ANDROID[abi] for abi in abis if abi in _ANDROID), None)
    else:
        runs = _LINUX.get(machine)
    virtual = properties.get("ro.devdiff.virtual", "") not in ("", "0")
    return DeviceFacts(
        serial=serial,
        platform="android" if android else "linux",
        model=_model(properties, cpu),
        release=(properties.get("ro.build.version.release") or None) if android else None,
        api=int(api) if android else None,
        abis=abis,
        soc=_soc(properties, cpu),
        cores=_cores(cpu),
        cpu_features=tuple(_field(cpu, "Features", "flags").split()),
        machine=machine,
        kernel=kernel.strip(),
        free_bytes=read_free(sections.get("free", "")),
        emulator=virtual or _emulated(properties),
        virtual=virtual,
        runs=runs,
    )


def free_bytes(transport: Transport, quoted: str) -> int | None:
    """Bytes free where a path, quoted for a shell, lies; None when the device does not tell."""
    done = transport.shell(_FREE.format(path=quoted))
    return read_free(done.stdout.decode(errors="replace"))


def read_free(text: str) -> int | None:
    """Bytes free, in what ``stat -f`` or any kind of ``df`` printed."""
    if match := re.search(r"^=(\d+) (\d+)\s*$", text, re.MULTILINE):
        return int(match[1]) * int(match[2])
    # Name, blocks, used, available, percentage; a long name has a line of its own.
    if match := re.search(r"\s\d+\s+\d+\s+(\d+)\s+\d+%", text):
        return int(match[1]) << 10
    # Toolbox: name, size, used and free with units, block size.
    if match := re.search(r"\s[\d.]+[KMGT]?\s+[\d.]+[KMGT]?\s+([\d.]+)([KMGT]?)\s+\d+\s*$", text):
        return int(float(match[1]) * _UNITS[match[2]])
    return None


def _sections(text: str) -> Iterator[tuple[str, str]]:
    for mark, following in itertools.pairwise(_SECTION.finditer(text)):
        yield mark[1], text[mark.end() : following.start()]


def _field(cpu: str, *names: str) -> str:
    """The first value of any of the names in /proc/cpuinfo."""
    for name in names:
        if match := re.search(rf"^{re.escape(name)}\s*:\s*(.+?)\s*$", cpu, re.MULTILINE):
            return match[1]
    return ""


def _model(properties: Mapping[str, str], cpu: str) -> str:
    maker = properties.get("ro.product.manufacturer", "")
    model = properties.get("ro.product.model", "")
    if model and maker and not model.lower().startswith(maker.lower()):
        return f"{maker} {model}"
    return model or _field(cpu, "Model")


def _soc(properties: Mapping[str, str], cpu: str) -> str | None:
    exact = f"{properties.get('ro.soc.manufacturer', '')} {properties.get('ro.soc.model', '')}"
    names = (
        exact.strip(),
        properties.get("ro.board.platform"),
        properties.get("ro.hardware"),
        _field(cpu, "Hardware", "model name"),
    )
    return next((name for name in names if name and name != "unknown"), None)


def _cores(cpu: str) -> dict[str, int]:
    """Cores by kind, the most frequent first."""
    implementers = re.findall(r"^CPU implementer\s*:\s*(\w+)", cpu, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\w+)", cpu, re.MULTILINE)
    kinds = [_core(*pair) for pair in zip(implementers, parts, strict=False)]
    kinds += re.findall(r"^model name\s*:\s*(.+?)\s*$", cpu, re.MULTILINE) if not kinds else []
    return dict(Counter(kinds).most_common())


def _core(implementer: str, part: str) -> str:
    name = _ARM_CORES.get(int(part, 16)) if int(implementer, 16) == 0x41 else None
    return name or f"implementer {implementer} part {part}"


def _emulated(properties: Mapping[str, str]) -> bool:
    return "1" in (
        properties.get("ro.kernel.qemu"),
        properties.get("ro.boot.qemu"),
    ) or properties.get("ro.hardware") in ("goldfish", "ranchu")
