"""The gate: what is tested, what of it ships, and what stands between a test and the store."""
