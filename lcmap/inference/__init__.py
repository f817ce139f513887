"""Exact tiled prediction through onnxruntime."""
