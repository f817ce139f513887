"""ONNX graphs rewritten: padding, outputs, precision, memory."""
