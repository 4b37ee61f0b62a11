"""Stories that devdiff tells of itself, on models that come with it."""
