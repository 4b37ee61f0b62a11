"""Ways to a device: directly by the ADB protocol, or through a running adb server."""
