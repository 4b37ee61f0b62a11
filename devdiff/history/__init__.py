"""What became of every run: kept on this machine, and in MLflow where that is set up."""
