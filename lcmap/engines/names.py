"""The names by which a user chooses what computes a map."""

from __future__ import annotations

from typing import Literal

EngineName = Literal["onnxruntime", "openvino"]
Provider = Literal["auto", "cpu", "cuda"]
Arithmetic = Literal["float32", "float16", "int8"]
"""What a network may be computed in; float16 is made of a float32 graph as it is loaded."""
