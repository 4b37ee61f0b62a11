"""Artifact and inputs to outputs: host runtimes and the native runner on a device."""
