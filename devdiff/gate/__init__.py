"""What pipelines trust: evidence of what was tested."""
