"""The report of a run: what it says, its schema, and how a person sees it."""
