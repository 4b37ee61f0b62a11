"""Real models of other people, and the cases of docs/cases."""
