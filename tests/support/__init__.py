"""What several tests need: fixtures, models, phones, runs."""
