"""From a source model to a TensorFlow function. For child processes only."""
