"""Where two places part: the first operator that differs, and a repro of it."""
