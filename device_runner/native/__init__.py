"""The native runner as a process of this machine."""
