"""Virtual phones: an adb daemon on an emulated ARM64 machine, for tests without a device."""
