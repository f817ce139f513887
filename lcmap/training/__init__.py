"""Training in PyTorch and export to ONNX."""
