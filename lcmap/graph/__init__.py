"""ONNX graphs rewritten: padding, unpooling, outputs, precision, memory."""
