"""The gate: a file that says what is tested, a check that runs it all, a baseline to hold it to."""
