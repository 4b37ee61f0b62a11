"""What changed between two finished runs: `devdiff compare`."""
