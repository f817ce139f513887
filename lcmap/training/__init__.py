"""Training: recipes, batches, the run and its checkpoint, export to ONNX (torch)."""
