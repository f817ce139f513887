"""Every default that a command and the library share, each written once and here.

Nothing is imported, so that the command line can show them without loading the library.
"""

from __future__ import annotations

from typing import Final

ENGINE: Final = "onnxruntime"
"""What runs a network."""

PROVIDER: Final = "auto"
"""The device that computes: CUDA where it is there, else the processor."""

MEMORY = 2 << 30
"""Bytes that a mapping command may use; tiles larger than this allows win little."""

CROSSWALK_TARGET: Final = "oso-reclass"
"""The nomenclature that a label map is brought into where no crosswalk is named."""

SEED = 0

BOOTSTRAP_REPLICATES = 1000
"""How often blocks are drawn for the intervals of scores."""

BOOTSTRAP_BLOCK = 256
"""Edge, in pixels, of the blocks that the bootstrap draws."""

INTERVAL_LEVEL = 95.0
"""Level of the intervals, in percent."""

SCORED_SPLIT = "test"
"""The split of a tile index that is scored."""
