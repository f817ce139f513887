"""The metadata of a model: what it was made for, and how to run it exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from lcmap.model_file.limits import LARGEST_RECEPTIVE_FIELD, LARGEST_STRIDE
from lcmap.nomenclature import Nomenclature
from lcmap.raster.classes import InputKind
from lcmap.raster.radiometry import Radiometry, radiometry_from

FORMAT_VERSION = 6
"""The version of the metadata that this lcmap writes; it reads every version up to it."""

Precision = Literal["float32", "int8"]
Normalisation = Literal["quantiles-2-98", "training-quantiles-2-98"]
"""What images are scaled by: each by its own quantiles, or all by the model's."""

BOUNDS_KEY = "bounds"
"""In `training`: west, south, east and north of the training tiles in degrees, or None."""


@dataclass(frozen=True)
class ModelInput:
    """One input of the network.

    `name` is the name of the graph's input. `bands` are the band names in order, `dtype` is the
    raster's data type, `gsd` the ground sampling distance in metres (None: the training images did
    not say), `gsd_range` the smallest and the largest of the training images. `quantiles` are the 2
    % and 98 % quantiles of each band over the training images; `normalisation` says whether an
    image is scaled by these, as those of training were, or by its own. A label map goes in one-hot
    through its `nomenclature`, probabilities as they are; both have no quantiles. `radiometry` is
    what the values of each band mean that the quantiles are of, () where it is not known. `level`
    is k where the network takes it on cells of 2^k × 2^k pixels of the image.
    """

    name: str
    kind: InputKind
    bands: tuple[str, ...]
    dtype: str
    gsd: float | None
    quantiles: tuple[tuple[float, float], ...] = ()
    normalisation: Normalisation = "quantiles-2-98"
    nomenclature: Nomenclature | None = None
    gsd_range: tuple[float, float] | None = None
    radiometry: tuple[Radiometry, ...] = ()
    level: int = 0

    @property
    def channels(self) -> int:
        """The channels of the network's input."""
        return len(self.nomenclature) if self.nomenclature else len(self.bands)

    def to_dict(self) -> dict[str, Any]:
        """Return the input as JSON values."""
        values = {key: getattr(self, key) for key in _ENTRY_KEYS}
        return values | {
            "nomenclature": self.nomenclature and self.nomenclature.to_dict(),
            "radiometry": [band.to_dict() for band in self.radiometry],
        }


_ENTRY_KEYS = (
    "name", "kind", "bands", "dtype", "gsd", "gsd_range", "quantiles", "normalisation", "level",
)  # fmt: skip


@dataclass(frozen=True)
class ModelMetadata:
    """All that a model says of itself.

    `stride` is the pooling grid in pixels (2 to the depth); `receptive_field` is how far the
    network sees to one side of a pixel, in pixels. `precision` is what its convolutions compute
    in. `architecture`, `training`, `scores`, `calibration` and `quantisation` hold plain JSON
    values. `calibration` says by which temperatures the model's graph divides scores, and what
    that did; the last says of an int8 model what its range was found on and which scores it had
    before.
    """

    nomenclature: Nomenclature
    inputs: tuple[ModelInput, ...]
    stride: int
    receptive_field: int
    architecture: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    precision: Precision = "float32"
    quantisation: dict[str, Any] = field(default_factory=dict)
    lcmap_version: str = ""
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata as JSON values."""
        return {
            "format_version": self.format_version,
            "lcmap_version": self.lcmap_version,
            "nomenclature": self.nomenclature.to_dict(),
            "entries": [model_input.to_dict() for model_input in self.inputs],
            "stride": self.stride,
            "receptive_field": self.receptive_field,
            "architecture": self.architecture,
            "training": self.training,
            "scores": self.scores,
            "calibration": self.calibration,
            "precision": self.precision,
            "quantisation": self.quantisation,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelMetadata:
        """Return the metadata that `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or is not what it should be.
        """
        inputs = tuple(_entry_from_dict(model_input) for model_input in values["entries"])
        stride, receptive_field = int(values["stride"]), int(values["receptive_field"])
        if not inputs:
            raise ValueError("no inputs")
        if not 1 <= stride <= LARGEST_STRIDE or stride & (stride - 1):
            raise ValueError(f"a stride of {stride}, not a power of two up to {LARGEST_STRIDE}")
        if not 0 <= receptive_field <= LARGEST_RECEPTIVE_FIELD:
            raise ValueError(f"a receptive field of {receptive_field} pixels")
        for number, model_input in enumerate(inputs):
            deepest = max(stride.bit_length() - 2, 0) if number else 0
            if not 0 <= model_input.level <= deepest:
                raise ValueError(f"{model_input.name} on level {model_input.level}")
        precision = values.get("precision", "float32")  # formats 1 and 2 have none
        if precision not in get_args(Precision):
            raise ValueError(f"unknown precision {precision!r}")
        return cls(
            nomenclature=Nomenclature.from_dict(values["nomenclature"]),
            inputs=inputs,
            stride=stride,
            receptive_field=receptive_field,
            architecture=dict(values["architecture"]),
            training=dict(values["training"]),
            scores=dict(values["scores"]),
            calibration=dict(values.get("calibration", {})),
            precision=cast(Precision, precision),
            quantisation=dict(values.get("quantisation", {})),
            lcmap_version=str(values["lcmap_version"]),
            format_version=int(values["format_version"]),
        )


def _entry_from_dict(values: dict[str, Any]) -> ModelInput:
    kind = values["kind"]
    if kind not in get_args(InputKind):
        raise ValueError(f"unknown kind of input {kind!r}")
    normalisation = values["normalisation"]
    if normalisation not in get_args(Normalisation):
        raise ValueError(f"unknown normalisation {normalisation!r}")
    if normalisation == "training-quantiles-2-98" and not values["quantiles"]:
        raise ValueError("images are scaled by quantiles that it lacks")
    classes = values.get("nomenclature")  # format 1 has none
    if (kind == "labels") != bool(classes):
        raise ValueError("a nomenclature belongs to an input of labels and to no other")
    return ModelInput(
        name=str(values["name"]),
        kind=cast(InputKind, kind),
        bands=tuple(str(band) for band in values["bands"]),
        dtype=str(values["dtype"]),
        gsd=None if values["gsd"] is None else float(values["gsd"]),
        quantiles=tuple((float(low), float(high)) for low, high in values["quantiles"]),
        normalisation=cast(Normalisation, normalisation),
        nomenclature=Nomenclature.from_dict(classes) if classes else None,
        gsd_range=_gsd_range_from(values),
        radiometry=_radiometry_from(values),
        level=int(values.get("level", 0)),  # formats up to 5 have none
    )


def _radiometry_from(entry: dict[str, Any]) -> tuple[Radiometry, ...]:
    found = radiometry_from(entry.get("radiometry", []))  # older models have none
    if len(found) not in (0, len(entry["bands"])):
        raise ValueError("a radiometry of other bands")
    return found


def _gsd_range_from(entry: dict[str, Any]) -> tuple[float, float] | None:
    if entry["gsd"] is None:
        return None
    values = entry.get("gsd_range") or (entry["gsd"], entry["gsd"])  # older models have none
    smallest, largest = map(float, values)
    if not 0 < smallest <= largest < math.inf:
        raise ValueError(f"a range of ground sampling distances of {values}")
    return smallest, largest
