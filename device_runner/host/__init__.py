"""Runners on this machine: frameworks and Python interpreters, in child processes."""
