"""Exact tiled prediction through onnxruntime."""

DEFAULT_TILE = 768
"""Pixels kept of a tile: a third of the pixels seen are lost at 512, memory doubles by 1024."""
