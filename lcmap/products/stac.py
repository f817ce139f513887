"""What a catalogue is to know of maps: the library function behind `lcmap stac`."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.raster_files import raster_files
from lcmap.errors import DataError, UsageError
from lcmap.json_text import parse_json
from lcmap.paths import PathLike
from lcmap.products.stac_items import Described, ModelItem, collection_of, map_item
from lcmap.products.stac_rasters import DescribedMap, gather, read_raster
from lcmap.progress import Progress, silent
from lcmap.raster.destination import stream_at
from lcmap.raster.input_watch import note_input, unchanged_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.period import parse_period
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.writing import atomic_path, check_output
from lcmap.user_file import read_small

_LARGEST_ITEM = 16 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StacOptions:
    """What is said of maps beside what their files do.

    title: of the item or the collection.
    period: when their ground was seen, as `parse_period` takes it; None: what each map says.
    model: the STAC item of the model that made them; None for no link to it.
    license: an SPDX identifier, as CC-BY-4.0; None where it is not said.
    overwrite: replace files that exist.
    """

    title: str | None = None
    period: str | None = None
    model: PathLike | None = None
    license: str | None = None
    overwrite: bool = False


def stac(
    rasters: Sequence[PathLike],
    output: PathLike,
    options: StacOptions | None = None,
    *,
    inputs: InputOptions | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write the STAC item of a map; of several, a collection, with an item of each beside it.

    What lcmap wrote with a map, such as its confidence, is given with it, and becomes part of its
    item. No pixel is read. The items of a collection are called as their maps are. Return the files
    that were written.

    Raises:
        UsageError: the period is none, a raster is standard input, or the output a stream, or the
            name of an item.
        InputMissingError, NotARasterError, NoCrsError, DataError: as `read_raster`, `gather`.
        DataError: the item of the model is not one.
        OutputExistsError, CannotWriteError: an output cannot be written.
        LockedError: another run is making one of them.
        InputChangedError: a file changed while it was read.
    """
    options, inputs = options or StacOptions(), inputs or InputOptions()
    place = Path(output)
    if stream_at(output) is not None:
        raise UsageError(f"`output={output}`", "is not a file", "its paths begin where it is")
    files = [file for given in rasters for file in raster_files(given)]
    if Path(STANDARD_STREAM) in files:
        raise UsageError(STANDARD_STREAM, "has no path that an item could name", "name files")
    with unchanged_inputs():
        said = Described(
            options.title,
            None if options.period is None else parse_period(options.period),
            None if options.model is None else _model_item(Path(options.model)),
            options.license,
        )
        described = []
        for number, file in enumerate(dict.fromkeys(files), start=1):
            described.append(read_raster(file, inputs))
            progress(number, len(files), "reading")
        maps = gather(described)
        _warn_of_times(maps, said)
        made = _documents(maps, said, place)
        read = [*files, options.model]
        with OutputSet(made, overwrite=options.overwrite, inputs=read) as written:
            for path in made:
                check_output(path, overwrite=written.overwrite)
            for path, document in made.items():
                _write(path, document, written)
    return list(made)


def _documents(
    maps: Sequence[DescribedMap], said: Described, place: Path
) -> dict[Path, dict[str, Any]]:
    """Return the documents to write, by their paths, the output last."""
    if len(maps) == 1:
        return {place: map_item(maps[0], said, place)}
    items = {
        path: map_item(one, said, path, place)
        for one in maps
        for path in [place.with_name(f"{one.name}.stac.json")]
    }
    if place in items:
        raise UsageError(
            f"`output={place}`", "is the item of one of the maps", "name the collection otherwise"
        )
    return {**items, place: collection_of(list(items.items()), said, place)}


def _model_item(path: Path) -> ModelItem:
    """Return the STAC item of a model.

    Raises:
        InputMissingError, DataError: it cannot be read, or is not one.
    """
    text = read_small(path, _LARGEST_ITEM)
    note_input(path)
    try:
        return ModelItem(path, str(parse_json(text)["properties"]["mlm:name"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            path, "is not the STAC item of a model", "write one with lcmap train --stac"
        ) from error


def _warn_of_times(maps: Sequence[DescribedMap], said: Described) -> None:
    untold = [one.map.path for one in maps if one.map.period is None]
    if untold and said.period is None:
        others = f" and {len(untold) - 1} others do" if len(untold) > 1 else " does"
        logger.warning(
            "%s%s not say when the ground was seen, so the time is when the file was written; "
            "`period` says it",
            untold[0],
            others,
        )


def _write(path: Path, document: dict[str, Any], files: OutputSet) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path, overwrite=files.overwrite, within=files) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
