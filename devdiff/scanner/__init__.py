"""Looking for behaviour that only the compressed model has."""
