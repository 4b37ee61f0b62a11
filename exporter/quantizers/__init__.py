"""From a TensorFlow function or a float artifact to .tflite files. For child processes only."""
