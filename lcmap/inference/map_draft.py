"""What the files of a map are made from beside its arrays, as a value that can be recorded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affine import Affine
from rasterio.crs import CRS

from lcmap.inference.options import MapOutputs
from lcmap.inference.output_files import OutputFiles, Sheet, output_files
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.preview.reading import SourceImage
from lcmap.raster.windows import Window


@dataclass(frozen=True)
class MapDraft:
    """The outputs of a map, its classes, the tags of its rasters, its grid, its sheets, and the
    image that its preview shows."""

    outputs: MapOutputs
    nomenclature: Nomenclature
    tags: Mapping[str, str]
    grid: Grid
    sheets: Sequence[Sheet] = ()
    image: SourceImage | None = None

    def files(self, inputs: Sequence[PathLike] = ()) -> OutputFiles:
        """Return the files of the map, none of which may be one of the `inputs`."""
        files = output_files(self.outputs, self.nomenclature, inputs, self.tags, self.image)
        return files.in_sheets(self.sheets)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; paths are from the folder of the map, which may be moved."""
        outputs, grid = dataclasses.asdict(self.outputs), self.grid
        folder = os.path.dirname(os.path.abspath(self.outputs.codes))
        for name in _PATHS:
            if outputs[name] is not None:
                outputs[name] = os.path.relpath(os.path.abspath(outputs[name]), folder)
        image = None
        if self.image is not None and self.outputs.preview is not None:
            image = dataclasses.asdict(self.image)
            image["files"] = [
                os.path.relpath(os.path.abspath(file), folder) for file in image["files"]
            ]
        return {
            "outputs": outputs,
            "nomenclature": self.nomenclature.to_dict(),
            "tags": dict(self.tags),
            "crs": None if grid.crs is None else grid.crs.to_wkt(version="WKT2_2019"),
            "transform": grid.transform[:6],
            "size": [grid.width, grid.height],
            "sheets": [[sheet.name, sheet.number, sheet.window] for sheet in self.sheets],
            "image": image,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], output: PathLike) -> MapDraft:
        """Return the draft that `to_dict` gave, of a map that is `output`.

        Raises:
            KeyError, TypeError, ValueError: the values are not of a draft.
        """
        outputs = dict(values["outputs"])
        for name in _PATHS:
            if outputs[name] is not None:
                outputs[name] = os.path.join(os.path.dirname(output), outputs[name])
        image = values.get("image")
        if image is not None:
            files = [os.path.join(os.path.dirname(output), file) for file in image["files"]]
            image = SourceImage(**image | {"files": tuple(files)})
        crs = None if values["crs"] is None else CRS.from_wkt(values["crs"])
        return cls(
            MapOutputs(**outputs | {"codes": output}),
            Nomenclature.from_dict(values["nomenclature"]),
            values["tags"],
            Grid(crs, Affine(*values["transform"]), *values["size"]),
            [Sheet(name, number, Window(*at)) for name, number, at in values["sheets"]],
            image,
        )


_PATHS = ("codes", "confidence", "margin", "probabilities", "scenes", "sheets", "preview")
