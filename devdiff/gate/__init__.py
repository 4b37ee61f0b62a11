"""What stands between a test and the store: packages, evidence, gates."""
