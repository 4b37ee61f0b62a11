"""Benchmarks beside a peer."""
