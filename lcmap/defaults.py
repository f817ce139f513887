"""Every default that a command and the library share, each written once and here.

Nothing is imported, so that the command line can show them without loading the library.
"""

from __future__ import annotations

from typing import Final

ENGINE: Final = "auto"
"""What runs a network."""

PROVIDER: Final = "auto"
"""The device that computes: CUDA where it is there, else the processor."""

SCHEDULER: Final = "local"
"""What computes tiles: this process, else the workers of a Dask scheduler."""

MEMORY = 2 << 30
"""Bytes that a mapping command may use; tiles larger than this allows win little."""

CROSSWALK_TARGET: Final = "oso-reclass"
"""The nomenclature that a label map is brought into where no crosswalk is named."""

SEED = 0

STACK_QUANTILES = "image"
"""The quantiles that a stack carries: its own."""

PREFER: Final = "order"
"""Which of several images is mapped where they overlap: the first in the order given."""

BOOTSTRAP_REPLICATES = 1000
"""How often blocks are drawn for the intervals of scores."""

BOOTSTRAP_BLOCK = 256
"""Edge, in pixels, of the blocks that the bootstrap draws."""

INTERVAL_LEVEL = 95.0
"""Level of the intervals, in percent."""

SCORED_SPLIT = "test"
"""The split of a tile index that is scored."""

RESAMPLING: Final = "cubic"
"""How images on another grid are resampled."""

TILE_SIZE = 256
"""Pixels along a side of the tiles of a tile index."""

SPLIT: Final = "blocks"
"""How tiles are split into train, validation and test."""

HIGHEST_CHOSEN_LEVEL = 3
"""Of a side input whose level is not given: the highest that the default network takes."""

BLOCK_TILES = 8
"""Tiles along a side of the blocks that go to one split, where the image is large enough."""

GAP = 48
"""Pixels between the tiles of different splits, where whole blocks are split."""

COMPOSITE_METHOD: Final = "median"
"""How a pixel is made from its clear dates in a period."""

RECIPE: Final = "default"
"""How networks are trained."""

EPOCHS = 100
"""How long a network is trained."""

PATIENCE = 30
"""Epochs without a better model after which training ends."""

CALIBRATE: Final = "beside"
"""Which ground a model's confidence is calibrated on."""

CALIBRATION_FOLDS = 5
"""Networks, at most, that leave out images so that a model is calibrated on these."""

SUSPECT_FOLDS = 3
"""Parts of the tiles that are each judged by a network which was trained on the others."""

TRAINING_DEVICE: Final = "auto"
"""What trains: CUDA where it is there, else the processor."""

MAX_LOSS = 0.5
"""Points of mIoU or OA that a model may lose in int8."""

MARGIN = 2.0
"""How often a class's probability is twice that of last year's class before a pixel leaves it."""

DESIGN: Final = "stratified"
"""How the points of a sample are drawn."""

ALLOCATION: Final = "proportional"
"""How the points of a sample are divided among strata, beyond the fewest of each."""

STRATUM_POINTS = 50
"""The fewest points of a stratum, where the size of the sample allows it (Olofsson et al. 2014)."""

EXPECTED_ACCURACY = 0.8
"""The accuracy of a map that the size of a sample is planned for."""

RESAMPLE: Final = "blocks"
"""What the bootstrap draws: blocks of ground."""
