"""Source model to artifact: loading, conversion, quantization, calibration, manifest."""
