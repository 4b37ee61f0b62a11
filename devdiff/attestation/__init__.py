"""Signed statements of what was tested: in-toto statements in DSSE envelopes."""
