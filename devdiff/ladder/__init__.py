"""From a model to a verdict: the rungs, the runs, and where they are kept."""
