"""What the device runner raises on purpose; `devdiff.system.errors` draws the whole tree."""

from __future__ import annotations

from devdiff.system.errors import DevdiffError
from devdiff.system.exit_code import ExitCode


class DeviceRunnerError(DevdiffError):
    """Base of all runner errors."""

    exit_code = ExitCode.ERROR


class PackError(DeviceRunnerError):
    """A pack stream is damaged, truncated, or not one this version reads."""


class RunnerChoiceError(DeviceRunnerError):
    """A runtime, kernels or device was asked for that does not exist."""

    exit_code = ExitCode.USAGE


class RunnerError(DeviceRunnerError):
    """A runner could not be started, could not load the model, or kept dying."""


class RuntimeLibraryError(DeviceRunnerError):
    """The runtime library a device needs is missing, unreachable, or not the pinned one."""


class ArchiveError(DeviceRunnerError):
    """An app's archive cannot be read, or is not to be trusted."""

    exit_code = ExitCode.USAGE


class RuntimeArchiveError(RuntimeLibraryError, ArchiveError):
    """The app's archive that was named for its runtime library holds none, or cannot be read."""

    exit_code = ExitCode.USAGE


class DeviceError(DeviceRunnerError):
    """Something about a device or the way to it; the message names the serial."""


class DeviceChoiceError(RunnerChoiceError):
    """No device, several, or none of that name: the user has to say which."""


class NoDeviceError(DeviceChoiceError):
    """No device is attached at all."""


class SeveralDevicesError(DeviceChoiceError):
    """Several devices are attached, and none was named."""


class DeviceLostError(DeviceError):
    """The device went away, or the connection to it broke."""


class TransportTimeoutError(DeviceLostError):
    """The device does not answer in time."""


class DeviceAuthError(DeviceError):
    """The device does not accept this computer's key yet."""


class TransferError(DeviceError):
    """A file did not arrive as it was sent: storage full, or cut short."""


class VirtualPhoneError(DeviceRunnerError):
    """A virtual phone could not be built, started, reached or stopped."""
